-- Makes `history` (history.py says what a row means): what the last run left and the inventory does not say any more.
-- Creations are compared by the second: two answers about one key differ in their fractions.
CREATE TEMP VIEW created AS
SELECT c.provider, c.scope, c.kind, CASE k.succession WHEN 'itself' THEN c.uid ELSE c.identity_uid END AS subject, date_trunc('second', c.created_at) AS since
FROM credentials c JOIN kinds k ON k.provider = c.provider AND k.kind = c.kind AND k.succession IS NOT NULL WHERE c.created_at IS NOT NULL;
CREATE TEMP VIEW last_created AS
SELECT c.provider, c.scope, c.kind, CASE k.succession WHEN 'itself' THEN c.uid ELSE c.identity_uid END AS subject, date_trunc('second', c.created_at) AS since
FROM last_credentials c JOIN kinds k ON k.provider = c.provider AND k.kind = c.kind AND k.succession IS NOT NULL WHERE c.created_at IS NOT NULL
UNION ALL SELECT provider, scope, kind, subject, since FROM last_history WHERE what = 'creation';

-- Further back than twice any rotation limit, and two years at least, nobody asks.
CREATE TEMP TABLE memory AS
SELECT as_of, as_of - to_microseconds(greatest(coalesce((SELECT max(rotate_us) FROM register_limits), 0), 365 * 86400000000) * 2) AS beginning FROM run;

-- Of each series the three newest creations are all that two rotations ask for; those that the inventory holds need no second place.
-- Hashes are compared, which is cheaper: two that are equal by chance would forget one creation of millions.
CREATE TEMP TABLE gone AS SELECT DISTINCT * FROM last_created l ANTI JOIN (SELECT hash(subject, kind, since) AS made FROM created) c ON c.made = hash(l.subject, l.kind, l.since);
CREATE TEMP TABLE past AS
SELECT provider, scope, kind, subject, since FROM (
    SELECT * FROM (SELECT *, TRUE AS is_gone FROM gone UNION ALL
                   SELECT DISTINCT *, FALSE FROM created SEMI JOIN (SELECT DISTINCT subject, kind FROM gone) g USING (subject, kind))
    QUALIFY row_number() OVER (PARTITION BY subject, kind ORDER BY since DESC) <= 3
        AND (max(since) OVER (PARTITION BY subject, kind) >= (SELECT beginning FROM memory) OR bool_or(NOT is_gone) OVER (PARTITION BY subject, kind))
) WHERE is_gone;

-- Which kinds were read wholly tonight, and where; what is missing without saying of which kind may be missing of any.
CREATE TEMP TABLE listings AS
WITH rows_told AS (
    SELECT c.provider, c.scope, c.state, c.covers FROM coverage c
    JOIN scopes s ON s.source = c.source AND s.provider = c.provider AND s.scope = c.scope WHERE NOT s.passed_over
),
blind AS (
    SELECT provider, scope FROM rows_told WHERE state <> 'complete' AND len(covers) = 0
    UNION SELECT provider, scope FROM scopes WHERE state IN ('denied', 'failed')
)
SELECT DISTINCT provider, scope, unnest(covers) AS kind FROM rows_told WHERE state = 'complete'
EXCEPT SELECT provider, scope, unnest(covers) FROM rows_told WHERE state <> 'complete'
EXCEPT SELECT b.provider, b.scope, k.kind FROM blind b JOIN kinds k USING (provider);

CREATE TEMP TABLE last_readings AS SELECT provider, scope, kind, min(since) AS since, max(until) AS until FROM last_history WHERE what = 'reading' GROUP BY ALL;
CREATE TEMP TABLE gaps AS
SELECT provider, scope, kind, since, until FROM last_history WHERE what = 'gap'
UNION SELECT l.provider, l.scope, l.kind, l.until, m.as_of FROM listings JOIN last_readings l USING (provider, scope, kind) CROSS JOIN memory m
      WHERE m.as_of > l.until + INTERVAL 2 DAYS;
CREATE TEMP TABLE readings AS
SELECT k.provider, k.scope, k.kind, coalesce(l.since, m.as_of) AS since, greatest(l.until, m.as_of) AS until
FROM (SELECT t.* FROM listings t JOIN kinds USING (provider, kind) WHERE succession IS NOT NULL) k CROSS JOIN memory m
LEFT JOIN last_readings l USING (provider, scope, kind)
UNION ALL SELECT * FROM last_readings ANTI JOIN listings USING (provider, scope, kind);

-- A credential that is off is off since it was first seen so, and one that was used after that stays on file until it is replaced;
-- not where a plan gave it back.
CREATE TEMP TABLE seen_off AS
SELECT subject, min(since) AS since FROM (
    SELECT subject, since FROM last_history WHERE what = 'off'
    UNION ALL SELECT uid, observed_at FROM last_credentials WHERE enabled = FALSE
) s WHERE NOT EXISTS (SELECT 1 FROM given_back g WHERE g.subject = s.subject AND g.since >= s.since) GROUP BY subject;
CREATE TEMP TABLE switched_off AS
SELECT c.provider, c.scope, c.kind, c.uid AS subject, coalesce(CASE WHEN c.created_at > o.since THEN NULL ELSE o.since END, c.observed_at) AS since
FROM credentials c LEFT JOIN seen_off o ON o.subject = c.uid WHERE c.enabled = FALSE
UNION ALL SELECT c.provider, c.scope, c.kind, c.uid, o.since FROM credentials c JOIN seen_off o ON o.subject = c.uid JOIN kinds k ON k.provider = c.provider AND k.kind = c.kind
WHERE c.enabled IS DISTINCT FROM FALSE AND (c.enabled IS NULL OR CASE WHEN k.used_by_day THEN date_trunc('day', c.last_used_at) ELSE c.last_used_at END > o.since) AND (c.created_at > o.since) IS DISTINCT FROM TRUE;

CREATE TEMP VIEW history_tonight AS
SELECT 'creation' AS what, provider, scope, kind, subject, since, NULL::TIMESTAMP AS until FROM past
UNION ALL SELECT 'off', provider, scope, kind, subject, since, NULL FROM switched_off
UNION ALL SELECT 'off', h.provider, h.scope, h.kind, h.subject, h.since, NULL FROM last_history h ANTI JOIN credentials c ON c.uid = h.subject
          WHERE h.what = 'off' AND h.since >= (SELECT beginning FROM memory)
UNION ALL SELECT 'reading', provider, scope, kind, NULL, since, until FROM readings WHERE until >= (SELECT beginning FROM memory)
UNION ALL SELECT 'gap', provider, scope, kind, NULL, since, until FROM gaps WHERE until >= (SELECT beginning FROM memory);

-- From when on the evidence misses no rotation at a given cadence: a credential that is replaced every so often cannot come and go in a gap that is shorter.
CREATE TEMP TABLE reach AS
SELECT r.provider, r.scope, r.kind, l.rotate_us, greatest(any_value(r.since), max(g.until)) AS reach_at
FROM readings r JOIN kinds k USING (provider, kind) JOIN (SELECT DISTINCT policy_kind, rotate_us FROM register_limits WHERE rotate_us IS NOT NULL) l USING (policy_kind)
LEFT JOIN gaps g ON g.provider = r.provider AND g.scope = r.scope AND g.kind = r.kind AND epoch_us(g.until) - epoch_us(g.since) > l.rotate_us
GROUP BY r.provider, r.scope, r.kind, l.rotate_us;
