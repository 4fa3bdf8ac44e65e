-- Identities under an incident that is declared and open. Makes `incident_of`: for each, the one that was declared first.
CREATE TEMP TABLE incident_of AS
WITH
patterns AS (SELECT p.* FROM register_incident_patterns p SEMI JOIN register_incidents USING (incident)),
-- Matched as the patterns of workloads are: a glob by what stands before its first wildcard.
globs AS (SELECT *, regexp_extract(name, '^[^*?\[\\]*') AS head FROM patterns WHERE by_name AND is_glob),
heads AS (SELECT i.*, left(i.name, n.size) AS head FROM identities i CROSS JOIN (SELECT DISTINCT length(head) AS size FROM globs) n),
named AS (
    SELECT i.uid, i.scope, p.scope AS scope_pattern, p.incident
    FROM identities i JOIN patterns p ON i.provider = p.provider AND i.kind = p.kind AND i.native_id = p.name
    UNION ALL
    SELECT i.uid, i.scope, p.scope, p.incident
    FROM identities i JOIN patterns p ON i.provider = p.provider AND i.kind = p.kind AND i.name = p.name AND p.by_name
    UNION ALL
    SELECT i.uid, i.scope, p.scope, p.incident
    FROM heads i JOIN globs p ON i.head = p.head AND i.provider = p.provider AND i.kind = p.kind AND i.name GLOB p.name
),
under AS (
    SELECT uid, incident, 'the incident names it' AS how FROM named WHERE scope GLOB scope_pattern
    UNION ALL
    SELECT w.uid, r.incident, 'it is ' || w.partner || '''s' FROM who w JOIN register_incidents r ON r.partner = w.partner
)
SELECT u.uid, arg_min({'incident': r.incident, 'how': u.how, 'declared_at': r.declared_at, 'revoke_us': r.revoke_us, 'reason': r.reason},
                      (r.declared_at, r.incident, u.how)) AS first
FROM under u JOIN register_incidents r USING (incident) GROUP BY u.uid;
