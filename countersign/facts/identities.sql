-- Facts of identities: ownership, life cycle, trust, track, privilege, and the use of what has no credential.
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
             epoch_us(active_at) + max_idle_us + grace_us AS idle_from_us FROM who LEFT JOIN register_policies USING (policy, track)) w
LEFT JOIN outside o ON o.identity_uid = w.uid
LEFT JOIN granted g ON g.identity_uid = w.uid
LEFT JOIN given_above above ON above.provider = w.provider AND above.scope = w.scope AND w.kind = 'service-account'
LEFT JOIN register_policies p ON p.policy = w.policy AND p.track = w.track
LEFT JOIN unlisted u ON u.provider = w.provider AND u.scope = w.scope AND u.kind = w.kind;
