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
       p.max_idle_us // 86400000000 AS idle_limit_days, p.idle_limit,
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
       w.owner_is_live, coalesce(w.expiry_is_declared, FALSE) AS expiry_is_declared, nullif(trim(rw.purpose), '') IS NOT NULL AS purpose_is_given,
       -- attribution and lineage
       w.partner_evidence, w.created_by, w.lineage, w.lineage_depth,
       coalesce(w.unknown['trusts'], w.lineage_why) AS evidence_why,
       w.ours AND w.enabled AND CASE WHEN w.has_evidence THEN TRUE WHEN w.unknown['trusts'] IS NULL AND w.lineage_why IS NULL THEN FALSE END AS has_evidence,
       CASE WHEN w.contradicts THEN FALSE WHEN w.unknown['trusts'] IS NULL AND w.lineage_why IS NULL THEN TRUE END AS evidence_agrees,
       w.ours AND w.enabled AND w.track <> 'delegation' AND CASE WHEN w.lineage_partner <> '' THEN TRUE WHEN w.lineage_why IS NOT NULL THEN NULL
                                                                WHEN silence.reason IS NOT NULL AND w.workload IS NULL THEN NULL ELSE FALSE END AS is_derived,
       coalesce(w.lineage_why, 'who created it is not known: ' || silence.reason) AS lineage_why,
       copied.copy_scopes, copied.copy_count, copied.copy_roles, copied.copies_why,
       CASE WHEN w.workload IS NOT NULL THEN FALSE WHEN copied.copy_count > 1 THEN TRUE
            -- what Entra's ids show to be in one tenant only is no copy, whatever it holds; names, as AWS has them, show less
            WHEN copied.uid IS NULL AND w.provider = 'azure' THEN FALSE
            WHEN w.unknown['grants'] IS NULL AND above.why IS NULL AND copied.copies_why IS NULL THEN FALSE END AS is_stray_copy,
       -- life cycle
       w.ours AND w.enabled AND CASE WHEN w.partner_why IS NULL THEN w.contract_ends_at IS NOT NULL END AS under_contract,
       (epoch_us(w.as_of) - epoch_us(w.contract_ends_at)) / 86400e6 AS days_past_contract,
       (epoch_us(w.as_of) - epoch_us(w.contract_ends_at)) // 86400000000 AS contract_over_days,
       w.ours AND w.enabled AND w.workload_expires_at IS NOT NULL AS workload_expires,
       (epoch_us(w.as_of) - epoch_us(w.workload_expires_at)) / 86400e6 AS days_past_workload,
       (epoch_us(w.as_of) - epoch_us(w.workload_expires_at)) // 86400000000 AS workload_over_days,
       w.ours AND w.enabled AND CASE WHEN i.uid IS NOT NULL THEN TRUE
                                     WHEN w.partner_why IS NOT NULL AND (SELECT bool_or(partner IS NOT NULL) FROM register_incidents) THEN NULL ELSE FALSE END AS under_incident,
       (epoch_us(w.as_of) - epoch_us(i.first.declared_at) - i.first.revoke_us) / 86400e6 AS days_past_revocation,
       i.first.incident AS incident, i.first.how AS incident_how, i.first.declared_at AS incident_declared_at, i.first.reason AS incident_reason,
       w.ours AND w.enabled AND w.workload IS NOT NULL AND CASE WHEN w.track IS NULL THEN NULL ELSE p.review_us IS NOT NULL END AS must_be_reviewed,
       (epoch_us(w.as_of) - epoch_us(coalesce(rw.reviewed_at, w.created_at)) - p.review_us) / 86400e6 AS days_past_review,
       CASE WHEN w.workload IS NULL OR p.review_us IS NULL THEN NULL
            WHEN rw.reviewed_at IS NULL THEN 'never reviewed; created ' || w.created_at::DATE
            ELSE 'last reviewed ' || rw.reviewed_on || ' by ' || rw.reviewed_by END AS review, p.review_us // 86400000000 AS review_limit_days,
       -- use after the end, of an identity that has no credential to judge by its use
       w.ours AND w.is_used_itself AND CASE WHEN u.why IS NOT NULL THEN NULL ELSE TRUE END
           AND CASE WHEN w.ended_at <= w.as_of THEN TRUE WHEN w.partner_why IS NOT NULL THEN NULL ELSE FALSE END AS has_end,
       -- what is not seen yet of the last day is left open; of an older report, nobody knows what was used since
       CASE WHEN w.last_active_at > w.ended_at OR epoch_us(w.as_of) - w.seen_us <= 86400e6
            THEN CASE w.last_active_state WHEN 'known' THEN (epoch_us(w.last_active_at) - epoch_us(w.ended_at)) / 86400e6 WHEN 'never' THEN 0 END END AS days_used_after_end,
       CASE WHEN w.is_taken THEN w.taken_at::DATE WHEN w.ended_at = w.contract_ends_at THEN w.contract_ends_on
            WHEN w.ended_at IS NOT NULL THEN w.workload_expires_on END AS ended_on,
       CASE WHEN w.is_taken THEN 'revoked by plan ' || w.taken_by WHEN w.ended_at = w.contract_ends_at THEN 'contract of ' || w.partner
            WHEN w.ended_at IS NOT NULL THEN 'workload ' || w.workload END AS ended_what,
       -- trust
       w.ours AND w.enabled AND CASE WHEN o.outside_trusts > 0 THEN TRUE WHEN w.unknown['trusts'] IS NOT NULL THEN NULL ELSE FALSE END AS trusted_from_outside,
       CASE WHEN o.unconditioned_trusts > 0 OR w.unknown['trusts'] IS NULL THEN o.unconditioned_trusts END AS unconditioned_trusts,
       CASE WHEN o.unknown_parties > 0 OR w.unknown['trusts'] IS NULL THEN o.unknown_parties END AS unknown_parties, o.outside_parties, o.unconditioned_parties, o.unknown_party_names,
       o.unknown_parties_told, o.vendor_names,
       -- track
       w.ours AND w.enabled AND w.console AND w.track = 'human' AND coalesce(p.mfa_required, w.track IS NULL) AS must_have_mfa,
       w.ours AND w.enabled AND w.track = 'machine' AS is_machine, w.ours AND w.enabled AND w.track = 'human' AS is_person,
       y.is_programs AND NOT w.mfa AS acts_unattended, y.why AS unattended_why, y.program_kind, y.program_at::DATE AS program_on,
       CASE WHEN y.is_programs THEN coalesce('last in person ' || y.person_at::DATE, 'never in person') END AS attendance, y.person_at::DATE AS person_on, y.unattended_days,
       -- privilege
       w.ours AND w.enabled AND (w.is_partners OR w.track = 'machine') AS must_be_limited,
       CASE WHEN g.admin_grants > 0 THEN g.admin_grants
            WHEN w.unknown['grants'] IS NULL AND above.why IS NULL AND coalesce(g.unread_grants, 0) = 0 THEN 0 END AS admin_grants,
       g.admin_roles, g.admin_power,
       -- own house
       own.uid IS NOT NULL AS is_own, own.caller, own.own_fault_count, own.own_faults, own.own_why,
       -- use of an identity that has no credential to judge by its use
       w.ours AND w.enabled AND w.is_used_itself AND CASE WHEN u.why IS NOT NULL THEN NULL ELSE TRUE END
           AND CASE WHEN w.track IS NULL THEN NULL ELSE p.max_idle_us IS NOT NULL END AS idles,
       u.why AS credentials_why,
       CASE WHEN w.active_at IS NOT NULL
            THEN CASE WHEN w.seen_us > w.idle_from_us OR epoch_us(w.as_of) <= w.idle_from_us THEN (w.seen_us - w.idle_from_us) / 86400e6 END
            WHEN epoch_us(w.as_of) - epoch_us(w.created_at) <= p.max_idle_us
            THEN (epoch_us(w.as_of) - epoch_us(w.created_at) - p.max_idle_us) / 86400e6 END AS days_past_idle
FROM (SELECT who.*, CASE WHEN partner IS NOT NULL THEN TRUE WHEN partner_why IS NULL THEN FALSE END AS is_partners,
             epoch_us(active_at) + max_idle_us + grace_us AS idle_from_us,
             least(contract_ends_at, workload_expires_at, CASE WHEN t.until < as_of THEN t.until END) AS ended_at, t.since AS taken_at, t.plan AS taken_by,
             -- of what was used after a plan took it away, that is what is told
             coalesce(t.until < as_of AND (last_active_at > t.until OR t.until <= least(contract_ends_at, workload_expires_at, t.until)), FALSE) AS is_taken,
             uid NOT IN (SELECT identity_uid FROM credentials c JOIN kinds k USING (provider, kind) WHERE k.idles AND identity_uid IS NOT NULL) AS is_used_itself FROM who LEFT JOIN register_policies USING (policy, track)
      LEFT JOIN taken t ON t.subject = who.uid AND (who.created_at > t.since) IS DISTINCT FROM TRUE) w
LEFT JOIN outside o ON o.identity_uid = w.uid
LEFT JOIN copies copied ON copied.uid = w.uid
LEFT JOIN silences silence ON silence.record AND w.created_by IS NULL AND silence.reason = w.unknown['created_by']
     AND NOT (w.provider = 'aws' AND w.native_id = w.scope)     -- the root user comes with its account, and nobody creates it
LEFT JOIN granted g ON g.identity_uid = w.uid
LEFT JOIN given_above above ON above.provider = w.provider AND above.scope = w.scope AND w.kind = 'service-account'
LEFT JOIN register_policies p ON p.policy = w.policy AND p.track = w.track
LEFT JOIN unlisted u ON u.provider = w.provider AND u.scope = w.scope AND u.kind = w.kind
LEFT JOIN register_workloads rw ON rw.workload = w.workload
LEFT JOIN incident_of i ON i.uid = w.uid
LEFT JOIN attendance y ON y.uid = w.uid
LEFT JOIN own ON own.uid = w.uid;
