-- Evidence of an identity's own for whose it is, strongest first: 1 the register names it, 2 whom it trusts, 3 where its home is, 5 a tag,
-- 6 its name. (4, who created it, follows from the evidence of others: lineage.sql.) Makes `registered`, `evidence` and `standing`.

-- 1: a glob is looked up by what stands before its first wildcard, cut from each name: trying every name with every glob takes far longer.
CREATE TEMP TABLE registered AS
WITH
globs AS (SELECT *, regexp_extract(name, '^[^*?\[\\]*') AS head FROM register_patterns WHERE by_name AND is_glob),
heads AS (SELECT i.*, left(i.name, n.size) AS head FROM identities i CROSS JOIN (SELECT DISTINCT length(head) AS size FROM globs) n),
named AS (
    SELECT i.uid, i.scope, p.scope AS scope_pattern, p.workload, 1 AS exactness
    FROM identities i JOIN register_patterns p ON i.provider = p.provider AND i.kind = p.kind AND i.native_id = p.name
    UNION ALL
    SELECT i.uid, i.scope, p.scope, p.workload, 2
    FROM identities i JOIN register_patterns p ON i.provider = p.provider AND i.kind = p.kind AND i.name = p.name AND p.by_name
    UNION ALL
    SELECT i.uid, i.scope, p.scope, p.workload, 3
    FROM heads i JOIN globs p ON i.head = p.head AND i.provider = p.provider AND i.kind = p.kind AND i.name GLOB p.name
)
-- where two workloads name it, the one that names it exactly
SELECT uid, substr(min(exactness || workload), 2) AS workload FROM named WHERE scope GLOB scope_pattern GROUP BY uid;    -- one text: much cheaper than arg_min by two columns

-- Evidence of an identity's own. Partner '' is the customer, as in the register's footprint.
CREATE TEMP TABLE evidence AS
WITH
likes AS (SELECT *, lower(value) AS glob, regexp_extract(lower(value), '^[^*?\[\\]*') AS head FROM register_footprint WHERE kind = 'name-pattern' AND partner <> ''),
like_heads AS (SELECT uid, lower(name) AS name, left(lower(name), n.size) AS head FROM identities CROSS JOIN (SELECT DISTINCT length(head) AS size FROM likes) n)
SELECT r.uid, coalesce(w.partner, '') AS partner, 1 AS rank, 'workload ' || r.workload AS how
FROM registered r JOIN register_workloads w USING (workload)
UNION ALL                                           -- 2: it trusts the partner's account, tenant or issuer
SELECT DISTINCT t.identity_uid, f.partner, 2, 'trusts ' || t.party_kind || ' ' || t.party
FROM trusted t JOIN footprint f ON f.kind = t.party_kind AND f.party_key = t.party_key AND f.partner <> ''
UNION ALL                                           -- 3: its home is the partner's directory or mail domain
SELECT i.uid, f.partner, 3, 'mail domain ' || f.value
FROM identities i JOIN register_footprint f
  ON f.kind = 'email-domain' AND f.partner <> '' AND lower(split_part(i.name, '@', -1)) = lower(f.value) AND contains(i.name, '@')
UNION ALL                                           -- 5: a tag says so
SELECT i.uid, f.partner, 5, 'tag ' || f.key || '=' || f.value
FROM (SELECT uid, unnest(map_entries(tags)) AS tag FROM identities) i
JOIN register_footprint f ON f.kind = 'tag' AND f.partner <> '' AND f.key = i.tag.key AND f.value = i.tag.value
UNION ALL                                           -- 6: its name looks like it
SELECT i.uid, f.partner, 6, 'name like ' || f.value
FROM like_heads i JOIN likes f ON i.head = f.head AND i.name GLOB f.glob;

-- What an identity is by its own evidence, before anybody asks who created it.
CREATE TEMP TABLE standing AS
SELECT uid, regexp_extract(best, '^.([^\x01]*)', 1) AS partner, substr(best, strpos(best, chr(1)) + 1) AS how, rank
FROM (SELECT uid, min(rank || partner || chr(1) || how) AS best, min(rank) AS rank FROM evidence GROUP BY uid);    -- as in attribution.sql
