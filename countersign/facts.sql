-- Facts: one row per subject (identity, credential, scope), one column a fact; null means unknown and a `_why` column says why.
-- Reads the inventory (identities, credentials, grants, trusts, coverage, scopes) and the register (register_* tables, run).
-- Time rules: a day is 24 hours; "never used" counts from creation; use is known up to `use_seen_to` less the grace period, and whatever
-- would be idle too long only if it was not used since then is unknown.
-- SQL's own three-valued logic carries the unknown: `enabled AND ...` is null when `enabled` is, and false when anything is false.
WITH
-- What each kind of credential is under the policies: the register's name of it, whether idle ones are judged, whether two at a time
-- are a rotation left half done, and whether the provider itself ends it at its expiry.
kinds(provider, kind, policy_kind, idles, pairs, ends_itself) AS (VALUES
    ('aws',   'access-key',          'aws_access_key',      TRUE,  TRUE,  FALSE),
    ('aws',   'password',            'password',            TRUE,  FALSE, FALSE),
    ('aws',   'service-specific-credential', 'aws_service_credential', TRUE, TRUE, TRUE),
    ('aws',   'signing-certificate', 'aws_signing_certificate', TRUE, TRUE, FALSE),
    ('aws',   'ssh-key',             'aws_ssh_key',         TRUE,  TRUE,  FALSE),
    ('aws',   'server-certificate',  NULL,                  FALSE, FALSE, FALSE),
    ('aws',   'secret',              'aws_secret',          TRUE,  FALSE, FALSE),
    ('aws',   'certificate',         NULL,                  TRUE,  FALSE, TRUE),
    ('azure', 'client-secret',       'entra_secret',        TRUE,  TRUE,  FALSE),
    ('azure', 'certificate',         'entra_certificate',   TRUE,  TRUE,  FALSE),
    ('azure', 'federated-credential', NULL,                 FALSE, FALSE, FALSE),
    ('gcp',   'service-account-key', 'gcp_key',             TRUE,  TRUE,  FALSE),
    ('gcp',   'api-key',             'gcp_api_key',         TRUE,  FALSE, FALSE),
    ('vault', 'secret-id',           'vault_secret_id',     TRUE,  TRUE,  TRUE),
    ('vault', 'token',               'vault_token',         TRUE,  FALSE, TRUE),
    ('vault', 'secret',              'vault_secret',        FALSE, FALSE, FALSE),
    ('vault', 'database-role',       'vault_database_role', FALSE, FALSE, FALSE),
    ('vault', 'certificate',         NULL,                  FALSE, FALSE, TRUE),
    ('vault', 'lease',               'vault_lease',         FALSE, FALSE, TRUE)
),
-- What an identity may log in with, for each kind that logs in at all: a listing that is missing hides these of it, and nothing of others.
may_hold(provider, kind, held) AS (VALUES
    ('aws',   'user',                   ['password', 'access-key', 'service-specific-credential', 'signing-certificate', 'ssh-key']),
    ('aws',   'roles-anywhere-subject', ['certificate']),
    ('azure', 'application',            ['client-secret', 'certificate']),
    ('azure', 'service-principal',      ['client-secret', 'certificate']),
    ('gcp',   'service-account',        ['service-account-key']),
    ('vault', 'approle',                ['secret-id', 'token']),
    ('vault', 'auth-role',              ['token']),
    ('vault', 'entity',                 ['token']),
    ('vault', 'user',                   ['token'])
),
-- Parties by what is the same in every way to write them: an issuer with or without https:// or a last slash, a tenant in capitals.
footprint AS (SELECT *, lower(rtrim(regexp_replace(value, '^https?://', ''), '/')) AS party_key FROM register_footprint),
trusted AS (SELECT * REPLACE (CASE WHEN party = '*' THEN 'anyone' ELSE party END AS party), lower(rtrim(regexp_replace(party, '^https?://', ''), '/')) AS party_key FROM trusts),
-- Attribution: every piece of evidence that ties an identity to a partner, strongest first.
-- A glob is looked up by what stands before its first wildcard, cut from each name: trying every name with every glob takes far longer.
globs AS (SELECT *, regexp_extract(name, '^[^*?\[\\]*') AS head FROM register_patterns WHERE by_name AND is_glob),
heads AS (SELECT i.*, left(i.name, n.size) AS head FROM identities i CROSS JOIN (SELECT DISTINCT length(head) AS size FROM globs) n),
likes AS (SELECT *, lower(value) AS glob, regexp_extract(lower(value), '^[^*?\[\\]*') AS head FROM register_footprint WHERE kind = 'name-pattern' AND partner <> ''),
like_heads AS (SELECT uid, lower(name) AS name, left(lower(name), n.size) AS head FROM identities CROSS JOIN (SELECT DISTINCT length(head) AS size FROM likes) n),
named AS (
    SELECT i.uid, i.scope, p.scope AS scope_pattern, p.workload, 1 AS rank
    FROM identities i JOIN register_patterns p ON i.provider = p.provider AND i.kind = p.kind AND i.native_id = p.name
    UNION ALL
    SELECT i.uid, i.scope, p.scope, p.workload, 2
    FROM identities i JOIN register_patterns p ON i.provider = p.provider AND i.kind = p.kind AND i.name = p.name AND p.by_name
    UNION ALL
    SELECT i.uid, i.scope, p.scope, p.workload, 3
    FROM heads i JOIN globs p ON i.head = p.head AND i.provider = p.provider AND i.kind = p.kind AND i.name GLOB p.name
),
registered AS (                                     -- 1, before all others: the register names it; where two workloads do, the one that names it exactly
    SELECT uid, arg_min(workload, (rank, workload)) AS workload FROM named WHERE scope GLOB scope_pattern GROUP BY uid
),
evidence AS (
                                                    -- 2: it trusts the partner's account, tenant or issuer
    SELECT t.identity_uid AS uid, f.partner, 2 AS rank, 'trusts ' || t.party_kind || ' ' || t.party AS how
    FROM trusted t JOIN footprint f ON f.kind = t.party_kind AND f.party_key = t.party_key AND f.partner <> ''
    UNION ALL                                       -- 3: its home is the partner's directory or mail domain
    SELECT i.uid, f.partner, 3, 'mail domain ' || f.value
    FROM identities i JOIN register_footprint f
      ON f.kind = 'email-domain' AND f.partner <> '' AND lower(split_part(i.name, '@', -1)) = lower(f.value) AND contains(i.name, '@')
    UNION ALL                                       -- 5: a tag says so (4, created by a partner's identity, needs a creator)
    SELECT i.uid, f.partner, 5, 'tag ' || f.key || '=' || f.value
    FROM (SELECT uid, unnest(map_entries(tags)) AS tag FROM identities) i
    JOIN register_footprint f ON f.kind = 'tag' AND f.partner <> '' AND f.key = i.tag.key AND f.value = i.tag.value
    UNION ALL                                       -- 6: its name looks like it
    SELECT i.uid, f.partner, 6, 'name like ' || f.value
    FROM like_heads i JOIN likes f ON i.head = f.head AND i.name GLOB f.glob
),
attributed AS (
    SELECT uid, arg_min(partner, (rank, partner)) AS partner, arg_min(how, (rank, partner)) AS partner_how
    FROM evidence GROUP BY uid
),
-- Outside parties that may act as an identity: neither the customer's own nor the provider's.
outside AS (
    SELECT t.identity_uid,
           count(*) AS outside_trusts,
           count(*) FILTER (t.condition IS NULL) AS unconditioned_trusts,
           count(*) FILTER (f.party_key IS NULL AND t.party_kind <> 'anyone') AS unknown_parties,
           string_agg(DISTINCT t.party, ', ' ORDER BY t.party) AS outside_parties,
           string_agg(DISTINCT t.party, ', ' ORDER BY t.party) FILTER (t.condition IS NULL) AS unconditioned_parties,
           string_agg(DISTINCT t.party, ', ' ORDER BY t.party) FILTER (f.party_key IS NULL AND t.party_kind <> 'anyone') AS unknown_party_names
    FROM trusted t
    LEFT JOIN (SELECT DISTINCT kind, party_key FROM footprint WHERE partner <> '') f ON f.kind = t.party_kind AND f.party_key = t.party_key
    ANTI JOIN (SELECT DISTINCT kind, party_key FROM footprint WHERE partner = '') own ON own.kind = t.party_kind AND own.party_key = t.party_key
    WHERE t.party_kind NOT IN ('aws-service', 'saml-provider')
      AND t.condition IS DISTINCT FROM 'the principal was deleted'    -- nobody can be it any more, and its id is never given again
    GROUP BY t.identity_uid
),
granted AS (
    SELECT identity_uid,
           count(*) FILTER (power IS NOT NULL) AS admin_grants,
           count(*) FILTER (power IS NULL) AS unread_grants,
           CASE WHEN bool_or(power = 'administrator') THEN 'is an administrator' ELSE 'can become an administrator' END AS admin_power,
           string_agg(DISTINCT role || coalesce(' [' || rule || ']', ''), ', ' ORDER BY role || coalesce(' [' || rule || ']', '')) FILTER (power IS NOT NULL) AS admin_roles,
           string_agg(DISTINCT role, ', ' ORDER BY role) FILTER (power IS NULL) AS unread_roles
    FROM grants WHERE power IS DISTINCT FROM 'limited' GROUP BY identity_uid    -- the many harmless ones say nothing
),
-- Why what an identity logs in with may be incomplete.
unlisted AS (
    SELECT c.provider, c.scope, h.kind, string_agg(c.operation || ': ' || coalesce(c.error, c.state), '; ' ORDER BY c.operation) AS why
    FROM coverage c JOIN may_hold h ON h.provider = c.provider AND list_has_any(c.covers, h.held)
    WHERE c.state <> 'complete' GROUP BY c.provider, c.scope, h.kind
),
-- What an organization gives counts for accounts in its projects, which are other scopes than where it is read.
inherited AS (
    SELECT provider, source, 'what is given at the organization was not read: ' || string_agg(DISTINCT why, '; ' ORDER BY why) AS why FROM (
        SELECT provider, source, operation || ': ' || coalesce(error, state) AS why FROM coverage
        WHERE scope LIKE 'organizations/%' AND state <> 'complete' AND list_contains(covers, 'member')
        UNION ALL
        SELECT provider, source, reason FROM scopes WHERE scope LIKE 'organizations/%' AND state IN ('denied', 'failed')
    ) GROUP BY provider, source
),
given_above AS (SELECT s.provider, s.scope, any_value(i.why) AS why FROM scopes s JOIN inherited i USING (provider, source) GROUP BY s.provider, s.scope),
who AS (
    SELECT i.*, CASE WHEN r.uid IS NULL THEN a.partner ELSE w.partner END AS partner,
           CASE WHEN r.uid IS NULL THEN a.partner_how ELSE 'workload ' || r.workload END AS partner_how, r.workload, w.owner, w.backup_owner, w.accountable, w.owner_named, w.owner_is_live,
           w.expiry_is_declared, w.expires_on AS workload_expires_on, p.contract_ends_at, p.contract_ends_on, run.as_of,
           -- a report as old at the reading as this is as old at as_of, which may be another time than the reading's
           epoch_us(run.as_of) - CASE WHEN i.use_seen_to < run.as_of THEN greatest(epoch_us(i.observed_at) - epoch_us(i.use_seen_to), 0) ELSE 0 END AS seen_us,
           NOT i.provider_managed AS ours,
           -- idle time runs from the last use, or from creation when it was never used; unknown use is still no older than creation
           CASE i.last_active_state WHEN 'known' THEN greatest(i.last_active_at, i.created_at) WHEN 'never' THEN i.created_at END AS active_at,
           coalesce(i.unknown['enabled'], CASE WHEN i.enabled IS NULL THEN 'the source does not say whether it is enabled' END) AS enabled_why,
           coalesce(i.unknown['track'], CASE WHEN i.track IS NULL THEN 'nothing says whether a person or a program uses it' END) AS track_why,
           -- nobody's by what is known, and perhaps somebody's by whom it trusts
           CASE WHEN r.uid IS NULL AND a.partner IS NULL THEN i.unknown['trusts'] END AS partner_why
    FROM identities i CROSS JOIN run
    LEFT JOIN registered r ON r.uid = i.uid
    LEFT JOIN attributed a ON a.uid = i.uid
    LEFT JOIN register_workloads w ON w.workload = r.workload
    LEFT JOIN register_partners p ON p.partner = CASE WHEN r.uid IS NULL THEN a.partner ELSE w.partner END
),
-- Credentials with what their identity, kind and siblings say of them.
held AS (
    SELECT c.*, who.partner, who.partner_how, who.workload, who.owner, who.accountable, who.track, who.track_why, coalesce(c.name, who.name) AS identity_name,
           who.as_of, k.policy_kind,
           CASE c.last_used_state WHEN 'known' THEN greatest(c.last_used_at, c.created_at) WHEN 'never' THEN c.created_at END AS active_at,
           epoch_us(who.as_of) - CASE WHEN c.use_seen_to < who.as_of THEN greatest(epoch_us(c.observed_at) - epoch_us(c.use_seen_to), 0) ELSE 0 END AS seen_us,
           -- a place is nobody's, and what it holds lives all the same
           c.enabled AND who.enabled AND NOT (who.provider_managed AND who.kind NOT IN ('mount', 'account', 'project')) AS live,
           coalesce(c.expires_at <= who.as_of, FALSE) AS ended,    -- nobody gets in with it any more
           CASE WHEN who.uid IS NULL THEN 'its identity was not read' ELSE coalesce(c.unknown['enabled'],
                CASE WHEN c.enabled IS NULL THEN 'the source does not say whether it is enabled' END, who.enabled_why) END AS enabled_why,
           coalesce(l.rotate_us, lm.rotate_us) AS rotate_us, ip.max_idle_us, mp.overlap_us, ip.grace_us,
           coalesce(l.must_expire, lm.must_expire, FALSE) AS expiry_demanded,
           coalesce(k.idles, FALSE) AS idles, coalesce(k.pairs, FALSE) AS pairs, coalesce(k.ends_itself, FALSE) AS ends_itself
    FROM credentials c
    LEFT JOIN who ON who.uid = c.identity_uid
    LEFT JOIN kinds k ON k.provider = c.provider AND k.kind = c.kind
    LEFT JOIN register_limits l ON l.track = who.track AND l.policy_kind = k.policy_kind
    LEFT JOIN register_limits lm ON lm.track = 'machine' AND lm.policy_kind = k.policy_kind
    LEFT JOIN register_policies ip ON ip.track = who.track
    LEFT JOIN register_policies mp ON mp.track = 'machine'
),
several AS (
    SELECT identity_uid, kind FROM held WHERE pairs AND live IS NOT FALSE AND NOT ended GROUP BY identity_uid, kind HAVING count(*) > 1
),
siblings AS (
    SELECT identity_uid, kind, count(*) FILTER (live) AS live_count, count(*) FILTER (live IS NULL) AS unclear_count,
           count(*) FILTER (live IS NOT FALSE AND created_at IS NULL) AS undated_count,
           max(created_at) FILTER (live) AS newest_at, arg_max(uid, (created_at, uid)) FILTER (live AND created_at IS NOT NULL) AS newest_uid
    FROM held SEMI JOIN several USING (identity_uid, kind) WHERE live IS NOT FALSE AND NOT ended GROUP BY identity_uid, kind
),
credential_facts AS (
    SELECT h.uid AS subject, 'credential' AS subject_kind, h.kind, h.provider, h.scope, h.identity_uid AS identity, h.identity_name,
           h.partner, h.partner_how, h.workload, h.owner, h.accountable, h.track, h.enabled, h.enabled_why, h.track_why,
           h.created_at, h.last_used_at, h.last_used_state, h.expires_at, h.observed_at,
           coalesce(h.unknown['created_at'], CASE WHEN h.created_at IS NULL THEN 'the source does not say when it was created' END) AS created_why,
           coalesce(h.unknown['last_used_at'], h.unknown['last_used_state'],
                    CASE WHEN h.last_used_state = 'unknown' THEN 'the source does not say when it was last used'
                         WHEN h.seen_us < epoch_us(h.as_of) THEN 'whether it was used in the days since the report is not known' END) AS use_why,
           h.unknown['expires_at'] AS expiry_why,
           h.created_at::DATE AS created_on, h.active_at,
           CASE WHEN h.last_used_state = 'never' THEN 'never used; created ' WHEN h.last_used_at < h.created_at THEN 'not used since it was set '
                ELSE 'last used ' END || h.active_at::DATE AS activity,
           h.expires_at::DATE AS expires_on,
           (epoch_us(h.as_of) - epoch_us(h.created_at)) // 86400000000 AS age_days,
           (epoch_us(h.as_of) - epoch_us(h.active_at)) // 86400000000 AS idle_days,
           (epoch_us(h.as_of) - epoch_us(h.expires_at)) // 86400000000 AS expired_days,
           h.rotate_us // 86400000000 AS rotation_limit_days, h.max_idle_us // 86400000000 AS idle_limit_days,
           h.overlap_us // 86400000000 AS overlap_limit_days, s.newest_at::DATE AS successor_on, s.newest_uid AS successor,
           (epoch_us(h.as_of) - epoch_us(s.newest_at)) // 86400000000 AS overlap_days,
           -- rotation
           h.live AND h.rotate_us IS NOT NULL AS rotates,
           (epoch_us(h.as_of) - epoch_us(h.created_at) - h.rotate_us) / 86400e6 AS days_past_rotation,
           -- expiry
           h.live AND h.expiry_demanded AS must_expire,
           CASE WHEN h.expires_at IS NOT NULL THEN TRUE WHEN h.unknown['expires_at'] IS NULL THEN FALSE END AS has_expiry,
           h.live AND NOT h.ends_itself AND (h.expires_at IS NOT NULL OR CASE WHEN h.unknown['expires_at'] IS NOT NULL THEN NULL ELSE FALSE END) AS expires,
           (epoch_us(h.as_of) - epoch_us(h.expires_at)) / 86400e6 AS days_past_expiry,
           -- overlap: every live credential but the newest has been succeeded
           h.live AND NOT h.ended AND h.pairs AND h.overlap_us IS NOT NULL AND CASE WHEN s.live_count > 1 THEN TRUE WHEN s.unclear_count > 0 THEN NULL ELSE FALSE END AS overlaps,
           CASE WHEN s.undated_count > 0 THEN NULL
                WHEN h.uid = s.newest_uid THEN -h.overlap_us / 86400e6
                ELSE (epoch_us(h.as_of) - epoch_us(s.newest_at) - h.overlap_us) / 86400e6 END AS days_past_overlap,
           -- use
           h.live AND h.idles AND CASE WHEN h.track IS NULL THEN NULL ELSE h.max_idle_us IS NOT NULL END AS idles,
           CASE WHEN h.active_at IS NOT NULL
                THEN CASE WHEN h.seen_us > h.idle_from_us OR epoch_us(h.as_of) <= h.idle_from_us THEN (h.seen_us - h.idle_from_us) / 86400e6 END
                WHEN epoch_us(h.as_of) - epoch_us(h.created_at) <= h.max_idle_us
                THEN (epoch_us(h.as_of) - epoch_us(h.created_at) - h.max_idle_us) / 86400e6 END AS days_past_idle
    FROM (SELECT *, epoch_us(active_at) + max_idle_us + grace_us AS idle_from_us FROM held) h
    LEFT JOIN siblings s ON s.identity_uid = h.identity_uid AND s.kind = h.kind
),
identity_facts AS (
    SELECT w.uid AS subject, 'identity' AS subject_kind, w.kind, w.provider, w.scope, w.uid AS identity, w.name AS identity_name,
           w.partner, w.partner_how, w.workload, w.owner, w.accountable, w.track, w.enabled, w.enabled_why, w.track_why,
           w.created_at, w.last_active_at AS last_used_at, w.last_active_state AS last_used_state, w.observed_at,
           coalesce(w.unknown['created_at'], CASE WHEN w.created_at IS NULL THEN 'the source does not say when it was created' END) AS created_why,
           coalesce(w.unknown['last_active_at'], w.unknown['last_active_state'],
                    CASE WHEN w.last_active_state = 'unknown' THEN 'the source does not say when it was last active'
                         WHEN w.seen_us < epoch_us(w.as_of) THEN 'whether it was used in the days since the report is not known' END) AS use_why,
           w.created_at::DATE AS created_on, w.active_at,
           CASE w.last_active_state WHEN 'never' THEN 'never used; created ' ELSE 'last used ' END || w.active_at::DATE AS activity,
           (epoch_us(w.as_of) - epoch_us(w.created_at)) // 86400000000 AS age_days,
           (epoch_us(w.as_of) - epoch_us(w.active_at)) // 86400000000 AS idle_days,
           p.max_idle_us // 86400000000 AS idle_limit_days,
           w.owner_claim, w.backup_owner, w.workload_expires_on, w.contract_ends_on, w.console, w.mfa,
           coalesce(w.unknown['console'], CASE WHEN w.console IS NULL THEN 'the source does not say whether it can log in' END) AS console_why,
           coalesce(w.unknown['mfa'], CASE WHEN w.mfa IS NULL THEN 'the source does not say whether MFA is on' END) AS mfa_why,
           coalesce(w.unknown['trusts']) AS trusts_why,
           coalesce(w.unknown['grants'], above.why, CASE WHEN coalesce(g.admin_grants, 0) = 0 AND g.unread_grants > 0 THEN 'policy not read: ' || g.unread_roles END) AS grants_why,
           -- ownership
           w.ours AND w.enabled AND (w.is_partners OR w.track = 'machine') AS needs_owner,
           coalesce(w.owner_named, FALSE) AS has_named_owner,
           w.partner_why, w.ours AND w.enabled AND w.is_partners AS from_partner,
           w.workload IS NOT NULL AS is_registered,
           w.ours AND w.enabled AND w.workload IS NOT NULL AS in_workload,
           w.owner_is_live, coalesce(w.expiry_is_declared, FALSE) AS expiry_is_declared,
           -- life cycle
           w.ours AND w.enabled AND CASE WHEN w.partner_why IS NULL THEN w.contract_ends_at IS NOT NULL END AS under_contract,
           (epoch_us(w.as_of) - epoch_us(w.contract_ends_at)) / 86400e6 AS days_past_contract,
           (epoch_us(w.as_of) - epoch_us(w.contract_ends_at)) // 86400000000 AS contract_over_days,
           -- trust
           w.ours AND w.enabled AND CASE WHEN o.outside_trusts > 0 THEN TRUE WHEN w.unknown['trusts'] IS NOT NULL THEN NULL ELSE FALSE END AS trusted_from_outside,
           CASE WHEN o.unconditioned_trusts > 0 OR w.unknown['trusts'] IS NULL THEN o.unconditioned_trusts END AS unconditioned_trusts,
           CASE WHEN o.unknown_parties > 0 OR w.unknown['trusts'] IS NULL THEN o.unknown_parties END AS unknown_parties, o.outside_parties, o.unconditioned_parties, o.unknown_party_names,
           -- track
           w.ours AND w.enabled AND w.console AND w.track = 'human' AND coalesce(p.mfa_required, w.track IS NULL) AS must_have_mfa,
           -- privilege
           w.ours AND w.enabled AND (w.is_partners OR w.track = 'machine') AS must_be_limited,
           CASE WHEN g.admin_grants > 0 THEN g.admin_grants
                WHEN w.unknown['grants'] IS NULL AND above.why IS NULL AND coalesce(g.unread_grants, 0) = 0 THEN 0 END AS admin_grants,
           g.admin_roles, g.admin_power,
           -- use of an identity that has no credential to judge by its use
           w.ours AND w.enabled AND w.uid NOT IN (SELECT identity_uid FROM credentials c JOIN kinds k USING (provider, kind) WHERE k.idles AND identity_uid IS NOT NULL) AND CASE WHEN u.why IS NOT NULL THEN NULL ELSE TRUE END
               AND CASE WHEN w.track IS NULL THEN NULL ELSE p.max_idle_us IS NOT NULL END AS idles,
           u.why AS credentials_why,
           CASE WHEN w.active_at IS NOT NULL
                THEN CASE WHEN w.seen_us > w.idle_from_us OR epoch_us(w.as_of) <= w.idle_from_us THEN (w.seen_us - w.idle_from_us) / 86400e6 END
                WHEN epoch_us(w.as_of) - epoch_us(w.created_at) <= p.max_idle_us
                THEN (epoch_us(w.as_of) - epoch_us(w.created_at) - p.max_idle_us) / 86400e6 END AS days_past_idle
    FROM (SELECT who.*, CASE WHEN partner IS NOT NULL THEN TRUE WHEN partner_why IS NULL THEN FALSE END AS is_partners,
                 epoch_us(active_at) + max_idle_us + grace_us AS idle_from_us FROM who LEFT JOIN register_policies USING (track)) w
    LEFT JOIN outside o ON o.identity_uid = w.uid
    LEFT JOIN granted g ON g.identity_uid = w.uid
    LEFT JOIN given_above above ON above.provider = w.provider AND above.scope = w.scope AND w.kind = 'service-account'
    LEFT JOIN register_policies p ON p.track = w.track
    LEFT JOIN unlisted u ON u.provider = w.provider AND u.scope = w.scope AND u.kind = w.kind
),
scope_facts AS (
    SELECT s.provider || ':' || s.scope || ':source/' || s.source AS subject, 'scope' AS subject_kind, 'source' AS kind, s.provider, s.scope,
           s.source AS identity_name, TRUE AS was_expected, s.state = 'complete' AS fully_read, s.state AS reading, s.reason AS reading_reason
    FROM scopes s
)
SELECT * FROM identity_facts UNION ALL BY NAME SELECT * FROM credential_facts UNION ALL BY NAME SELECT * FROM scope_facts
