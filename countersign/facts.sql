-- Facts: one row per subject (identity, credential, scope), one column a fact; null means unknown and a `_why` column says why.
-- Reads the inventory (identities, credentials, grants, trusts, coverage, scopes) and the register (register_* tables, run).
-- Time rules: a day is 24 hours; "never used" counts from creation; use is known up to `use_seen_to` less the grace period.
-- SQL's own three-valued logic carries the unknown: `enabled AND ...` is null when `enabled` is, and false when anything is false.
CREATE OR REPLACE TABLE facts AS
WITH
-- What each kind of credential is under the policies: the register's name of it, whether idle ones are judged, whether two at a time
-- are a rotation left half done, and whether the provider itself ends it at its expiry.
kinds(provider, kind, policy_kind, idles, pairs, ends_itself) AS (VALUES
    ('aws',   'access-key',          'aws_access_key',      TRUE,  TRUE,  FALSE),
    ('aws',   'password',            'password',            TRUE,  FALSE, FALSE),
    ('azure', 'client-secret',       'entra_secret',        TRUE,  TRUE,  FALSE),
    ('azure', 'certificate',         'entra_certificate',   TRUE,  TRUE,  FALSE),
    ('gcp',   'service-account-key', 'gcp_key',             TRUE,  TRUE,  FALSE),
    ('vault', 'secret-id',           'vault_secret_id',     TRUE,  TRUE,  TRUE),
    ('vault', 'token',               'vault_token',         TRUE,  FALSE, TRUE),
    ('vault', 'secret',              'vault_secret',        FALSE, FALSE, FALSE),
    ('vault', 'database-role',       'vault_database_role', FALSE, FALSE, FALSE),
    ('vault', 'certificate',         NULL,                  FALSE, FALSE, TRUE)
),
-- Attribution: every piece of evidence that ties an identity to a partner, strongest first.
named AS (                                          -- exact names and globs apart: a hash join for the many, a scan for the few
    SELECT i.uid, i.scope, p.scope AS scope_pattern, p.workload, 1 AS rank
    FROM identities i JOIN register_patterns p ON i.provider = p.provider AND i.kind = p.kind AND i.native_id = p.name
    UNION ALL
    SELECT i.uid, i.scope, p.scope, p.workload, 2
    FROM identities i JOIN register_patterns p ON i.provider = p.provider AND i.kind = p.kind AND i.name = p.name AND p.by_name
    UNION ALL
    SELECT i.uid, i.scope, p.scope, p.workload, 3
    FROM identities i JOIN register_patterns p ON i.provider = p.provider AND i.kind = p.kind AND i.name GLOB p.name AND p.by_name AND p.is_glob
),
registered AS (                                     -- 1: the register names it; where two workloads do, the one that names it exactly
    SELECT uid, arg_min(workload, (rank, workload)) AS workload FROM named WHERE scope GLOB scope_pattern GROUP BY uid
),
evidence AS (
    SELECT r.uid, coalesce(w.partner, '') AS partner, 1 AS rank, 'workload ' || r.workload AS how    -- '': the customer's own
    FROM registered r JOIN register_workloads w ON w.workload = r.workload
    UNION ALL                                       -- 2: it trusts the partner's account, tenant or issuer
    SELECT t.identity_uid, f.partner, 2, 'trusts ' || t.party_kind || ' ' || t.party
    FROM trusts t JOIN register_footprint f ON f.kind = t.party_kind AND f.value = t.party AND f.partner <> ''
    UNION ALL                                       -- 3: its home is the partner's directory or mail domain
    SELECT i.uid, f.partner, 3, 'mail domain ' || f.value
    FROM identities i JOIN register_footprint f
      ON f.kind = 'email-domain' AND f.partner <> '' AND lower(split_part(i.name, '@', -1)) = lower(f.value) AND contains(i.name, '@')
    UNION ALL                                       -- 5: a tag says so (4, created by a partner's identity, needs a creator)
    SELECT i.uid, f.partner, 5, 'tag ' || f.key || '=' || f.value
    FROM identities i JOIN register_footprint f ON f.kind = 'tag' AND f.partner <> '' AND i.tags[f.key] = f.value
    UNION ALL                                       -- 6: its name looks like it
    SELECT i.uid, f.partner, 6, 'name like ' || f.value
    FROM identities i JOIN register_footprint f ON f.kind = 'name-pattern' AND f.partner <> '' AND lower(i.name) GLOB lower(f.value)
),
attributed AS (
    SELECT uid, nullif(arg_min(partner, (rank, partner)), '') AS partner, arg_min(how, (rank, partner)) AS partner_how
    FROM evidence GROUP BY uid
),
-- Outside parties that may act as an identity: neither the customer's own nor the provider's.
outside AS (
    SELECT t.identity_uid,
           count(*) AS outside_trusts,
           count(*) FILTER (t.condition IS NULL) AS unconditioned_trusts,
           count(*) FILTER (f.value IS NULL AND t.party_kind <> 'anyone') AS unknown_parties,
           string_agg(DISTINCT t.party, ', ' ORDER BY t.party) AS outside_parties,
           string_agg(DISTINCT t.party, ', ' ORDER BY t.party) FILTER (t.condition IS NULL) AS unconditioned_parties,
           string_agg(DISTINCT t.party, ', ' ORDER BY t.party) FILTER (f.value IS NULL AND t.party_kind <> 'anyone') AS unknown_party_names
    FROM trusts t
    LEFT JOIN (SELECT DISTINCT kind, value FROM register_footprint WHERE partner <> '') f ON f.kind = t.party_kind AND f.value = t.party
    ANTI JOIN (SELECT DISTINCT kind, value FROM register_footprint WHERE partner = '') own ON own.kind = t.party_kind AND own.value = t.party
    WHERE t.party_kind NOT IN ('aws-service', 'saml-provider')
      AND t.condition IS DISTINCT FROM 'the principal was deleted'    -- nobody can be it any more, and its id is never given again
    GROUP BY t.identity_uid
),
granted AS (
    SELECT identity_uid,
           count(*) FILTER (privileged) AS admin_grants,
           count(*) FILTER (privileged IS NULL) AS unread_grants,
           string_agg(DISTINCT role, ', ' ORDER BY role) FILTER (privileged) AS admin_roles,
           string_agg(DISTINCT role, ', ' ORDER BY role) FILTER (privileged IS NULL) AS unread_roles
    FROM grants GROUP BY identity_uid
),
-- Why the credentials of a scope may be incomplete.
unlisted AS (
    SELECT provider, scope, string_agg(operation || ': ' || coalesce(error, state), '; ' ORDER BY operation) AS why
    FROM coverage
    WHERE state <> 'complete' AND list_has_any(covers, (SELECT list(DISTINCT kind) FROM kinds))
    GROUP BY provider, scope
),
holders AS (SELECT DISTINCT identity_uid FROM credentials),
who AS (
    SELECT i.*, a.partner, a.partner_how, r.workload, w.owner, w.backup_owner, w.accountable, w.owner_named, w.owner_is_live,
           w.expiry_is_declared, w.expires_on AS workload_expires_on, p.contract_ends_at, p.contract_ends_on, run.as_of,
           NOT i.provider_managed AS ours,
           coalesce(i.unknown['enabled'], CASE WHEN i.enabled IS NULL THEN 'the source does not say whether it is enabled' END) AS enabled_why,
           coalesce(i.unknown['track'], CASE WHEN i.track IS NULL THEN 'nothing says whether a person or a program uses it' END) AS track_why
    FROM identities i CROSS JOIN run
    LEFT JOIN registered r ON r.uid = i.uid
    LEFT JOIN attributed a ON a.uid = i.uid
    LEFT JOIN register_workloads w ON w.workload = r.workload
    LEFT JOIN register_partners p ON p.partner = a.partner
),
-- Credentials with what their identity, kind and siblings say of them.
held AS (
    SELECT c.*, who.partner, who.partner_how, who.workload, who.owner, who.accountable, who.track, who.track_why, who.name AS identity_name,
           who.as_of, k.policy_kind,
           c.enabled AND who.enabled AND NOT (who.provider_managed AND who.kind <> 'mount') AS live,
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
siblings AS (
    SELECT identity_uid, kind, count(*) FILTER (live) AS live_count, count(*) FILTER (live IS NULL) AS unclear_count,
           count(*) FILTER (live IS NOT FALSE AND created_at IS NULL) AS undated_count,
           max(created_at) FILTER (live) AS newest_at, arg_max(uid, (created_at, uid)) FILTER (live AND created_at IS NOT NULL) AS newest_uid
    FROM held WHERE pairs GROUP BY identity_uid, kind HAVING count(*) > 1
),
-- Idle time of one thing: from its last use, or its creation when it was never used. Unknown use is still no older than creation.
idle_credentials AS (
    SELECT uid, CASE last_used_state WHEN 'known' THEN greatest(last_used_at, created_at) WHEN 'never' THEN created_at END AS active_at FROM held
),
credential_facts AS (
    SELECT h.uid AS subject, 'credential' AS subject_kind, h.kind, h.provider, h.scope, h.identity_uid AS identity, h.identity_name,
           h.partner, h.partner_how, h.workload, h.owner, h.accountable, h.track, h.enabled, h.enabled_why, h.track_why,
           h.created_at, h.last_used_at, h.last_used_state, h.expires_at, h.observed_at,
           coalesce(h.unknown['created_at'], CASE WHEN h.created_at IS NULL THEN 'the source does not say when it was created' END) AS created_why,
           coalesce(h.unknown['last_used_at'], h.unknown['last_used_state'],
                    CASE WHEN h.last_used_state = 'unknown' THEN 'the source does not say when it was last used' END) AS use_why,
           h.unknown['expires_at'] AS expiry_why,
           h.created_at::DATE AS created_on, i.active_at,
           CASE h.last_used_state WHEN 'never' THEN 'never used; created ' ELSE 'last used ' END || i.active_at::DATE AS activity,
           h.expires_at::DATE AS expires_on,
           (epoch_us(h.as_of) - epoch_us(h.created_at)) // 86400000000 AS age_days,
           (epoch_us(h.as_of) - epoch_us(i.active_at)) // 86400000000 AS idle_days,
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
           h.live AND h.pairs AND h.overlap_us IS NOT NULL AND CASE WHEN s.live_count > 1 THEN TRUE WHEN s.unclear_count > 0 THEN NULL ELSE FALSE END AS overlaps,
           CASE WHEN s.undated_count > 0 THEN NULL
                WHEN h.uid = s.newest_uid THEN -h.overlap_us / 86400e6
                ELSE (epoch_us(h.as_of) - epoch_us(s.newest_at) - h.overlap_us) / 86400e6 END AS days_past_overlap,
           -- use
           h.live AND h.idles AND CASE WHEN h.track IS NULL THEN NULL ELSE h.max_idle_us IS NOT NULL END AS idles,
           CASE WHEN i.active_at IS NOT NULL
                THEN (epoch_us(least(h.as_of, coalesce(h.use_seen_to, h.as_of))) - h.grace_us - epoch_us(i.active_at) - h.max_idle_us) / 86400e6
                WHEN epoch_us(h.as_of) - epoch_us(h.created_at) <= h.max_idle_us
                THEN (epoch_us(h.as_of) - epoch_us(h.created_at) - h.max_idle_us) / 86400e6 END AS days_past_idle
    FROM held h
    JOIN idle_credentials i ON i.uid = h.uid
    LEFT JOIN siblings s ON s.identity_uid = h.identity_uid AND s.kind = h.kind
),
identity_activity AS (
    SELECT uid, CASE last_active_state WHEN 'known' THEN greatest(last_active_at, created_at) WHEN 'never' THEN created_at END AS active_at FROM who
),
identity_facts AS (
    SELECT w.uid AS subject, 'identity' AS subject_kind, w.kind, w.provider, w.scope, w.uid AS identity, w.name AS identity_name,
           w.partner, w.partner_how, w.workload, w.owner, w.accountable, w.track, w.enabled, w.enabled_why, w.track_why,
           w.created_at, w.last_active_at AS last_used_at, w.last_active_state AS last_used_state, w.observed_at,
           coalesce(w.unknown['created_at'], CASE WHEN w.created_at IS NULL THEN 'the source does not say when it was created' END) AS created_why,
           coalesce(w.unknown['last_active_at'], w.unknown['last_active_state'],
                    CASE WHEN w.last_active_state = 'unknown' THEN 'the source does not say when it was last active' END) AS use_why,
           w.created_at::DATE AS created_on, a.active_at,
           CASE w.last_active_state WHEN 'never' THEN 'never used; created ' ELSE 'last used ' END || a.active_at::DATE AS activity,
           (epoch_us(w.as_of) - epoch_us(w.created_at)) // 86400000000 AS age_days,
           (epoch_us(w.as_of) - epoch_us(a.active_at)) // 86400000000 AS idle_days,
           p.max_idle_us // 86400000000 AS idle_limit_days,
           w.owner_claim, w.backup_owner, w.workload_expires_on, w.contract_ends_on, w.console, w.mfa,
           coalesce(w.unknown['console'], CASE WHEN w.console IS NULL THEN 'the source does not say whether it can log in' END) AS console_why,
           coalesce(w.unknown['mfa'], CASE WHEN w.mfa IS NULL THEN 'the source does not say whether MFA is on' END) AS mfa_why,
           coalesce(w.unknown['trusts']) AS trusts_why,
           coalesce(w.unknown['grants'], CASE WHEN coalesce(g.admin_grants, 0) = 0 AND g.unread_grants > 0 THEN 'policy not read: ' || g.unread_roles END) AS grants_why,
           -- ownership
           w.ours AND w.enabled AND (w.partner IS NOT NULL OR w.track = 'machine') AS needs_owner,
           coalesce(w.owner_named, FALSE) AS has_named_owner,
           w.ours AND w.enabled AND w.partner IS NOT NULL AS from_partner,
           w.workload IS NOT NULL AS is_registered,
           w.ours AND w.enabled AND w.workload IS NOT NULL AS in_workload,
           w.owner_is_live, coalesce(w.expiry_is_declared, FALSE) AS expiry_is_declared,
           -- life cycle
           w.ours AND w.enabled AND w.contract_ends_at IS NOT NULL AS under_contract,
           (epoch_us(w.as_of) - epoch_us(w.contract_ends_at)) / 86400e6 AS days_past_contract,
           (epoch_us(w.as_of) - epoch_us(w.contract_ends_at)) // 86400000000 AS contract_over_days,
           -- trust
           w.ours AND w.enabled AND CASE WHEN o.outside_trusts > 0 THEN TRUE WHEN w.unknown['trusts'] IS NOT NULL THEN NULL ELSE FALSE END AS trusted_from_outside,
           o.unconditioned_trusts, o.unknown_parties, o.outside_parties, o.unconditioned_parties, o.unknown_party_names,
           -- track
           w.ours AND w.enabled AND w.console AND w.track = 'human' AND coalesce(p.mfa_required, w.track IS NULL) AS must_have_mfa,
           -- privilege
           w.ours AND w.enabled AND (w.partner IS NOT NULL OR w.track = 'machine') AS must_be_limited,
           CASE WHEN g.admin_grants > 0 THEN g.admin_grants
                WHEN w.unknown['grants'] IS NULL AND coalesce(g.unread_grants, 0) = 0 THEN 0 END AS admin_grants,
           g.admin_roles,
           -- use of an identity that has no credential to judge (a role never has one, so an unread listing of credentials hides nothing)
           w.ours AND w.enabled AND h.identity_uid IS NULL AND CASE WHEN u.why IS NOT NULL AND w.kind <> 'role' THEN NULL ELSE TRUE END
               AND CASE WHEN w.track IS NULL THEN NULL ELSE p.max_idle_us IS NOT NULL END AS idles,
           u.why AS credentials_why,
           CASE WHEN a.active_at IS NOT NULL
                THEN (epoch_us(least(w.as_of, coalesce(w.use_seen_to, w.as_of))) - p.grace_us - epoch_us(a.active_at) - p.max_idle_us) / 86400e6
                WHEN epoch_us(w.as_of) - epoch_us(w.created_at) <= p.max_idle_us
                THEN (epoch_us(w.as_of) - epoch_us(w.created_at) - p.max_idle_us) / 86400e6 END AS days_past_idle
    FROM who w
    JOIN identity_activity a ON a.uid = w.uid
    LEFT JOIN holders h ON h.identity_uid = w.uid
    LEFT JOIN outside o ON o.identity_uid = w.uid
    LEFT JOIN granted g ON g.identity_uid = w.uid
    LEFT JOIN register_policies p ON p.track = w.track
    LEFT JOIN unlisted u ON u.provider = w.provider AND u.scope = w.scope
),
scope_facts AS (
    SELECT s.provider || ':' || s.scope || ':source/' || s.source AS subject, 'scope' AS subject_kind, 'source' AS kind, s.provider, s.scope,
           s.source AS identity_name, TRUE AS was_expected, s.state = 'complete' AS fully_read, s.state AS reading, s.reason AS reading_reason
    FROM scopes s
)
SELECT * FROM identity_facts UNION ALL BY NAME SELECT * FROM credential_facts UNION ALL BY NAME SELECT * FROM scope_facts
