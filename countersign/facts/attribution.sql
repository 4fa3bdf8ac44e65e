-- Attribution: whose an identity is, with the evidence. Makes `attribution`: one row for each identity that the register or any evidence knows.
CREATE TEMP TABLE attribution AS
WITH
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
)
SELECT coalesce(r.uid, a.uid) AS uid, CASE WHEN r.uid IS NULL THEN a.partner ELSE w.partner END AS partner,
       CASE WHEN r.uid IS NULL THEN a.partner_how ELSE 'workload ' || r.workload END AS partner_how, r.workload
FROM registered r FULL JOIN attributed a USING (uid)
LEFT JOIN register_workloads w ON w.workload = r.workload;
