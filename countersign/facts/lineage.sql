-- Lineage: who created an identity, who created that one, and so on, up to the nearest that has evidence of its own.
-- Makes `lineage`: one row for each identity whose creator, or the creator's, is known to be somebody's, or could be and was not read.

-- Why a creator is not known. Where a provider keeps no record of it (`record` false) nothing is missing that could be read: a blind spot.
-- Where the record does not reach so far back (`record` true), who was created is in doubt, but not whose it is: that is so of nearly
-- everything older than the record. Any other reason is a reading that failed, and leaves both open.
CREATE TEMP TABLE silences AS FROM (VALUES
    ('IAM does not say who created it', FALSE),
    ('Access Analyzer does not say who gave the access', FALSE),
    ('Roles Anywhere knows a subject from when its certificate first came', FALSE),
    ('Organizations does not say who agreed to it', FALSE),
    ('AWS does not say who created an account', FALSE),
    ('only the audit log knows who made it', FALSE),
    ('older than the 90 days that CloudTrail looks back', TRUE),
    ('CloudTrail has no event of its creation', TRUE)
) AS silences(reason, record);

-- A creator is written as a subject, an immutable id, an ARN, an id of the application or a mail address; a session stands for its role.
CREATE TEMP TABLE born AS
SELECT uid, provider, scope, created_by AS written, provider || ' ' || CASE
           WHEN provider = 'aws' AND regexp_matches(created_by, '^arn:[^:]*:sts::[0-9]{12}:assumed-role/') THEN regexp_replace(created_by, '^arn:[^:]*:sts::([0-9]{12}):assumed-role/([^/]*).*$', 'role \1/\2')
           WHEN provider = 'aws' AND regexp_matches(created_by, '^A[A-Z0-9]{15,}:') THEN split_part(created_by, ':', 1)
           WHEN contains(created_by, '@') THEN lower(created_by)
           ELSE created_by END AS called
FROM identities WHERE created_by IS NOT NULL;

CREATE TEMP TABLE made AS
WITH sought AS (SELECT DISTINCT called FROM born),
calls AS (
    SELECT provider || ' ' || uid AS called, uid, scope, kind, 1 AS sureness FROM identities
    UNION ALL SELECT provider || ' ' || native_id, uid, scope, kind, 2 FROM identities
    -- a user of Entra chooses the name it is shown by
    UNION ALL SELECT provider || ' ' || unnest(aliases), uid, scope, kind, 3 FROM identities WHERE NOT (provider = 'azure' AND kind = 'user')
    UNION ALL SELECT 'aws role ' || scope || '/' || name, uid, scope, kind, 3 FROM identities WHERE provider = 'aws' AND kind = 'role'
    UNION ALL SELECT provider || ' ' || lower(name), uid, scope, kind, 4 FROM identities WHERE provider = 'gcp' AND contains(name, '@')
),
found AS (SELECT * FROM calls SEMI JOIN sought USING (called)),
matched AS (
    -- an application and its service principal bear one id, and it is the principal that acts
    SELECT b.uid, arg_min(f.uid, (f.sureness, f.scope <> b.scope, f.kind = 'application', f.uid)) AS creator
    FROM born b JOIN found f USING (called) GROUP BY b.uid
)
SELECT b.uid, m.creator, b.written, b.provider, CASE WHEN b.provider = 'aws' THEN nullif(regexp_extract(b.written, '^arn:[^:]*:[^:]*:[^:]*:([0-9]{12}):', 1), '') END AS account,
       CASE WHEN b.provider <> 'aws' THEN b.scope END AS home, i.name, i.unknown['trusts'] AS trusts_why, s.uid IS NULL AS passes
FROM born b JOIN identities i ON i.uid = b.uid LEFT JOIN matched m ON m.uid = b.uid LEFT JOIN standing s ON s.uid = b.uid
WHERE m.creator IS DISTINCT FROM b.uid;

-- From each identity that has evidence of its own down to what it created: nobody is come to twice, because everybody has one creator, and
-- a circle ends at the evidence that it began with. `near`: names of the last few creators, nearest first; `gap`: why an identity on the way
-- may be somebody else's.
CREATE TEMP TABLE descent AS
WITH RECURSIVE
begun AS (
    SELECT m.uid, m.name, m.passes, m.trusts_why, s.partner, left(i.name, 80) || ' (' || s.how || ')' AS origin, []::VARCHAR[] AS near, 1 AS depth,
           CASE WHEN s.rank > 1 AND i.unknown['trusts'] IS NOT NULL THEN 'whom ' || left(i.name, 80) || ' trusts is not known: ' || i.unknown['trusts'] END AS gap
    FROM made m JOIN standing s ON s.uid = m.creator JOIN identities i ON i.uid = m.creator
    UNION ALL                                       -- no identity of ours, and a partner's all the same
    SELECT m.uid, any_value(m.name), any_value(m.passes), any_value(m.trusts_why), min(f.partner),
           left(any_value(m.written), 200) || ' (' || arg_min(f.kind || ' ' || f.value, (f.partner, f.kind, f.value)) || ')', [], 1, NULL
    FROM made m JOIN register_footprint f
      ON f.partner <> '' AND ((f.kind = 'aws-account' AND f.value = m.account) OR (f.kind = 'email-domain' AND contains(m.written, '@') AND lower(f.value) = lower(split_part(m.written, '@', -1))))
    WHERE m.creator IS NULL GROUP BY m.uid
),
down AS (
    SELECT * FROM begun
    UNION ALL
    SELECT m.uid, m.name, m.passes, m.trusts_why, d.partner, d.origin, list_prepend(left(d.name, 80), d.near)[1:4], d.depth + 1,
           coalesce(d.gap, 'whom ' || left(d.name, 80) || ' trusts is not known: ' || d.trusts_why)
    FROM down d JOIN made m ON m.creator = d.uid WHERE d.passes
)
FROM down;

-- What nobody could read of a creator leaves open what it created, down to the next that has evidence, or a gap, of its own.
CREATE TEMP TABLE doubt AS
WITH RECURSIVE
unread AS (
    SELECT provider, scope, string_agg(operation || ': ' || coalesce(error, state), '; ' ORDER BY operation) AS why FROM coverage
    WHERE state <> 'complete' AND list_has_any(covers, ['user', 'role', 'service-principal', 'application', 'service-account']) GROUP BY provider, scope
    UNION ALL SELECT provider, scope, reason FROM scopes WHERE state IN ('denied', 'failed')
),
opened AS (
    SELECT i.uid, left(i.name, 80) AS name, s.uid IS NULL AS passes, TRUE AS itself, i.unknown['created_by'] AS why
    FROM identities i ANTI JOIN silences q ON q.reason = i.unknown['created_by'] LEFT JOIN standing s ON s.uid = i.uid
    WHERE i.created_by IS NULL AND i.unknown['created_by'] IS NOT NULL
    UNION ALL
    SELECT m.uid, any_value(left(m.name, 80)), any_value(m.passes), TRUE, 'where the creator is was not read wholly: ' || coalesce(min(u.why), 'no reason given')
    FROM made m JOIN unread u ON u.provider = m.provider AND u.scope = coalesce(m.account, m.home)
    WHERE m.creator IS NULL AND m.uid NOT IN (SELECT uid FROM descent) GROUP BY m.uid
    UNION ALL                                       -- whom it trusts could make it a partner's
    SELECT i.uid, left(i.name, 80), TRUE, FALSE, i.unknown['trusts']
    FROM identities i SEMI JOIN made m ON m.creator = i.uid ANTI JOIN standing s ON s.uid = i.uid WHERE i.unknown['trusts'] IS NOT NULL
),
gaps AS (SELECT uid, any_value(name) AS name, bool_and(passes) AS passes, bool_or(itself) AS itself, min(why) FILTER (itself) AS creator_why, min(why) FILTER (NOT itself) AS trusts_why FROM opened GROUP BY uid),
down AS (
    SELECT uid, passes, itself, 'who created it is not known: ' || creator_why AS why,
           CASE WHEN creator_why IS NOT NULL THEN 'who created ' || name || ' is not known: ' || creator_why ELSE 'whom ' || name || ' trusts is not known: ' || trusts_why END AS beneath
    FROM gaps
    UNION ALL
    SELECT m.uid, m.passes AND g.uid IS NULL, TRUE, d.beneath, d.beneath
    FROM down d JOIN made m ON m.creator = d.uid LEFT JOIN gaps g ON g.uid = m.uid WHERE d.passes
)
SELECT uid, min(why) AS why FROM down WHERE itself GROUP BY uid;

-- `partner`: '' for the customer's own; null where no creator has evidence, as far as is known. `why`: what leaves it open.
CREATE TEMP TABLE lineage AS
SELECT uid, d.partner, d.depth, coalesce(d.gap, o.why) AS why,
       'created by ' || array_to_string(list_concat(d.near, CASE WHEN d.depth > 5 THEN [(d.depth - 5) || ' others in turn'] ELSE [] END, [d.origin]), ', which was created by ') AS told
FROM descent d FULL JOIN doubt o USING (uid);
