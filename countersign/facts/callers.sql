-- The pipeline's own identities: whom each scope was read as. Makes `own`, a row for each that was read, and `own_unread`, the callers that were not.
CREATE TEMP TABLE asked AS
SELECT DISTINCT provider, scope, regexp_replace(caller, '^(arn:[^:]*:sts::[0-9]*:assumed-role/[^/]+)/.*$', '\1') AS caller,    -- each night has a session of its own
       CASE provider WHEN 'azure' THEN regexp_extract(caller, '^application (.+)$', 1) ELSE caller END AS name,
       CASE provider WHEN 'aws' THEN regexp_extract(caller, '^arn:[^:]*:sts::[0-9]*:assumed-role/([^/]+)/', 1) END AS role
FROM callers WHERE caller <> 'not in the export';    -- nobody was asked: somebody exported it

CREATE TEMP TABLE matched AS
WITH
found AS (
    SELECT a.provider, a.caller, i.uid FROM asked a JOIN identities i ON i.provider = a.provider AND i.scope = a.scope AND list_contains(i.aliases, a.name)
    UNION ALL                                       -- the ARN of a session has the name of the role, without its path
    SELECT a.provider, a.caller, i.uid FROM asked a JOIN identities i ON i.provider = a.provider AND i.scope = a.scope AND i.kind = 'role' AND i.name = a.role
    UNION ALL                                       -- an account of one project reads many, and may be named in each
    SELECT a.provider, a.caller, i.uid FROM asked a JOIN identities i ON a.provider = 'gcp' AND i.provider = 'gcp' AND i.name = a.name
    UNION ALL                                       -- where the connector marks whoever it reads as; it lets nobody else write that mark
    SELECT a.provider, a.caller, i.uid
    FROM asked a JOIN (SELECT uid, provider, scope FROM identities WHERE provider IN ('azure', 'vault') AND tags['countersign'] = 'self') i USING (provider, scope)
)
SELECT f.uid, f.provider, f.caller FROM found f JOIN identities i ON i.uid = f.uid AND NOT i.provider_managed GROUP BY ALL;

CREATE TEMP TABLE own_unread AS
SELECT provider, min(scope) AS scope, caller FROM asked ANTI JOIN matched USING (provider, caller) GROUP BY provider, caller;

CREATE TEMP TABLE own AS
WITH
who_is_own AS (SELECT w.*, m.caller FROM who w JOIN (SELECT uid, min(caller) AS caller FROM matched GROUP BY uid) m USING (uid)),
aged AS (
    SELECT c.identity_uid AS uid,
           string_agg(DISTINCT c.kind, ', ' ORDER BY c.kind) FILTER (c.enabled AND epoch_us(w.as_of) - epoch_us(c.created_at) > coalesce(l.rotate_us, lm.rotate_us)) AS too_old,
           min(CASE WHEN c.created_at IS NULL THEN coalesce(c.unknown['created_at'], 'the source does not say when it was created')
                    WHEN c.enabled IS NULL THEN coalesce(c.unknown['enabled'], 'the source does not say whether it is enabled') END)
               FILTER (c.enabled IS DISTINCT FROM FALSE AND coalesce(l.rotate_us, lm.rotate_us) IS NOT NULL) AS why
    FROM credentials c JOIN who_is_own w ON w.uid = c.identity_uid
    JOIN kinds k ON k.provider = c.provider AND k.kind = c.kind
    LEFT JOIN register_limits l ON l.policy = w.policy AND l.track = w.track AND l.policy_kind = k.policy_kind
    LEFT JOIN register_limits lm ON lm.policy = w.policy AND lm.track = 'machine' AND lm.policy_kind = k.policy_kind
    GROUP BY c.identity_uid
),
judged AS (
    SELECT w.uid, w.caller,
           list_filter([
               'it is ' || w.partner || '''s (' || w.partner_how || ')',
               CASE WHEN w.workload IS NULL THEN 'no workload registers it' WHEN NOT w.owner_is_live THEN 'nobody who is here answers for workload ' || w.workload END,
               CASE WHEN g.admin_grants > 0 THEN 'it ' || g.admin_power || ' through ' || g.admin_roles END,
               'past its rotation date: ' || a.too_old
           ], lambda fault: fault IS NOT NULL) AS faults,
           coalesce(w.unknown['grants'], above.why, CASE WHEN g.unread_grants > 0 THEN 'policy not read: ' || g.unread_roles END, u.why, a.why) AS why
    FROM who_is_own w
    LEFT JOIN granted g ON g.identity_uid = w.uid
    LEFT JOIN aged a ON a.uid = w.uid
    LEFT JOIN given_above above ON above.provider = w.provider AND above.scope = w.scope AND w.kind = 'service-account'
    LEFT JOIN unlisted u ON u.provider = w.provider AND u.scope = w.scope AND u.kind = w.kind
)
SELECT uid, caller, nullif(array_to_string(faults, '; '), '') AS own_faults, why AS own_why,
       CASE WHEN len(faults) > 0 OR why IS NULL THEN len(faults) END AS own_fault_count
FROM judged;
