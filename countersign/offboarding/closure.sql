-- Whose each identity is that a partner (the variable `partner`) can get in by: `weighed`, a row for each, and `ways`, what identities trust, with
-- whose it is. `party`: '' is the customer. Whom an identity trusts (rank 2) lets that party in, and makes the identity nobody's; all other
-- evidence says whose it is.
CREATE TEMP TABLE pieces AS
SELECT uid, partner AS party, rank, how FROM evidence
UNION SELECT uid, partner, 4, told FROM lineage WHERE partner <> ''
-- an account in the customer's organization that is the partner's by its number: a place otherwise, and this one with what was delegated to it
UNION SELECT i.uid, f.partner, 3, 'account ' || f.value
FROM identities i JOIN register_footprint f ON f.kind = 'aws-account' AND f.value = i.native_id AND f.partner <> ''
WHERE i.provider = 'aws' AND i.kind = 'account';

CREATE TEMP TABLE ways AS
SELECT t.*, f.partner AS party_of, coalesce(f.partner = getvariable('partner'), FALSE) AS is_theirs
FROM trusted t LEFT JOIN footprint f ON f.kind = t.party_kind AND f.party_key = t.party_key;

CREATE TEMP TABLE weighed AS
WITH owned AS (
    SELECT uid, min(rank) AS rank, list_sort(list(DISTINCT party)) AS parties, arg_min(party, (rank, party)) AS best,
           list_sort(list(DISTINCT rank || ' ' || how || CASE party WHEN '' THEN ' (the customer''s own)' ELSE ' (' || party || ')' END)) AS told
    FROM pieces WHERE rank <> 2 GROUP BY uid
),
theirs AS (
    SELECT uid, min(rank) AS best_rank, arg_min(how, (rank, how)) AS how FROM pieces WHERE party = getvariable('partner') GROUP BY uid
),
let_in AS (
    SELECT w.identity_uid AS uid, bool_and(w.is_theirs) AS only_them, bool_or(w.is_theirs) AS them,
           -- a provider or anchor is its own issuer, and whoever found a key is nobody to consider
           list_sort(list(DISTINCT w.party_kind || ' ' || w.party)
                     FILTER (NOT w.is_theirs AND w.party_kind <> 'anyone' AND i.kind NOT IN ('saml-provider', 'oidc-provider', 'trust-anchor'))) AS others
    FROM ways w JOIN identities i ON i.uid = w.identity_uid GROUP BY w.identity_uid
)
SELECT i.uid, i.provider, i.source, i.scope, i.kind, i.name,
       i.provider_managed AND NOT coalesce(i.kind = 'account' AND t.best_rank = 3, FALSE) AS provider_managed,
       coalesce(f.is_own, FALSE) AS is_own, f.workload,
       o.rank, o.parties, o.told, coalesce(l.others, []) AS others, coalesce(l.them, FALSE) AS lets_in, t.best_rank, t.how,
       CASE WHEN o.uid IS NULL THEN coalesce(l.only_them, FALSE)
            WHEN o.rank = 1 THEN o.best = getvariable('partner')
            ELSE o.parties = [getvariable('partner')] END AS whole,
       coalesce(o.rank > 1 AND list_contains(o.parties, getvariable('partner')) AND len(o.parties) > 1, FALSE) AS undecided
FROM identities i
LEFT JOIN owned o USING (uid) LEFT JOIN let_in l USING (uid) LEFT JOIN theirs t USING (uid) LEFT JOIN facts_identity f ON f.subject = i.uid
WHERE coalesce(l.them, FALSE) OR list_contains(coalesce(o.parties, []), getvariable('partner'));
