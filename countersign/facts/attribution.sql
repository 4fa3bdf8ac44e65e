-- Attribution: whose an identity is, by the strongest of all evidence. Makes `attribution`: one row for each identity that any of it is known of.
CREATE TEMP TABLE attribution AS
WITH
-- `sure`: nothing that was not read could have put another in its place
pieces AS (
    SELECT uid, partner, rank, how, TRUE AS sure FROM evidence
    UNION ALL SELECT uid, partner, 4, told, why IS NULL FROM lineage WHERE partner <> ''
),
weighed AS (
    SELECT uid, min(rank || partner || chr(1) || how) AS best,    -- one text: much cheaper than arg_min by three columns
           min(partner) FILTER (partner <> '') AS one, max(partner) FILTER (partner <> '') AS other,
           coalesce(min(partner) FILTER (partner <> '' AND sure) < max(partner) FILTER (partner <> '' AND sure), FALSE) OR (min(partner) = '' AND bool_or(rank IN (2, 3))) AS contradicts
    FROM pieces GROUP BY uid
),
best AS (SELECT *, regexp_extract(best, '^.([^\x01]*)', 1) AS partner, substr(best, strpos(best, chr(1)) + 1) AS how FROM weighed),
-- the whole list is told of those only that have more than one partner, or one that the register knows nothing of
told AS (
    SELECT p.uid, list(p.how || CASE p.partner WHEN '' THEN ' (the customer''s own)' ELSE ' (' || p.partner || ')' END ORDER BY p.rank, p.partner, p.how) AS pieces
    FROM pieces p SEMI JOIN weighed w ON w.uid = p.uid AND (w.contradicts OR w.one <> w.other) GROUP BY p.uid
)
SELECT coalesce(w.uid, l.uid) AS uid, nullif(w.partner, '') AS partner, w.how AS partner_how, r.workload, w.uid IS NOT NULL AS has_evidence, w.contradicts,
       coalesce(array_to_string(t.pieces[1:8], '; ') || CASE WHEN len(t.pieces) > 8 THEN ' and ' || (len(t.pieces) - 8) || ' more' ELSE '' END,
                w.how || CASE w.partner WHEN '' THEN ' (the customer''s own)' ELSE ' (' || w.partner || ')' END) AS partner_evidence,
       l.partner AS lineage_partner, l.told AS lineage, l.depth AS lineage_depth, l.why AS lineage_why
FROM best w FULL JOIN lineage l ON l.uid = w.uid
LEFT JOIN told t ON t.uid = w.uid LEFT JOIN registered r ON r.uid = coalesce(w.uid, l.uid);
