-- Facts of the clocks: the service levels of each finding that stood when the last run ended and still fails, or may, the drills, and
-- the approvals that are owed. All is wall time, from when a finding began to fail: how long the customer was exposed, without pauses.
-- A finding about a clock has no clock of its own.
CREATE TEMP MACRO in_words(us) AS
    CASE WHEN us >= 172800000000 THEN (us // 86400000000) || ' days' WHEN us >= 7200000000 THEN (us // 3600000000) || ' hours' ELSE (us // 60000000) || ' minutes' END;

WITH wholly AS (
    SELECT provider, scope FROM scopes WHERE state = 'complete' AND NOT passed_over GROUP BY provider, scope
),
standing AS (
    SELECT f.*, s.* EXCLUDE (control), epoch_us(run.as_of) - epoch_us(f.since) AS open_us, epoch_us(f.first_seen) - epoch_us(f.looked_before) AS unseen_us,
           t.key IS NOT NULL AS has_ticket, x.subject IS NULL AS is_open,     -- while an exception holds, nothing has to be done
           -- a subject that is gone from a scope that was read wholly fails no more
           coalesce(n.verdict, CASE WHEN f.provider = 'register' OR w.scope IS NOT NULL THEN 'over' ELSE 'unknown' END) AS verdict
    FROM stood f JOIN register_slas s USING (control) CROSS JOIN run
    LEFT JOIN tonight n USING (fingerprint)
    LEFT JOIN wholly w ON w.provider = f.provider AND w.scope = f.scope
    LEFT JOIN desk_tickets t ON t.key = f.ticket_key
    LEFT JOIN register_exceptions x ON x.control = f.control AND x.subject = f.subject
    WHERE NOT starts_with(f.control, 'sla-') AND f.control NOT IN ('drill-overdue', 'approval-owed')
),
running AS (
    SELECT *, CASE WHEN verdict = 'unknown' THEN 'whether it still fails is not known tonight' END AS stands_why FROM standing WHERE verdict <> 'over'
)
SELECT 'ledger:' || f.customer || ':finding/' || f.fingerprint AS subject, 'finding' AS subject_kind, 'finding' AS kind, 'ledger' AS provider,
       f.customer AS scope, f.identity, f.identity_name, f.partner, f.accountable,
       f.control AS late_control, f.subject AS late_subject, f.severity AS late_severity, f.since AS late_since, f.stands_why,
       in_words(f.open_us) AS open_for,
       -- found: the scope was read wholly so long before that it may have begun unseen. Nights differ by minutes, and by an hour twice a
       -- year, so a twelfth more than agreed is no night that was missed.
       f.detect_us IS NOT NULL AS must_be_detected,
       (f.unseen_us - f.detect_us - f.detect_us / 12) / 3600e6 AS hours_past_detect,
       CASE WHEN f.looked_before IS NULL THEN 'nobody had read its scope wholly before it was found' END AS detect_why,
       f.first_seen AS found_at, f.looked_before, in_words(f.unseen_us) AS unseen_for, in_words(f.detect_us) AS agreed_detect,
       -- told: an open finding has a ticket at the desk
       f.is_open AND f.escalate_us IS NOT NULL AS must_be_escalated,
       CASE WHEN f.has_ticket THEN 0 WHEN f.open_us <= f.escalate_us OR (f.ticket_told AND f.stands_why IS NULL) THEN (f.open_us - f.escalate_us) / 3600e6 END AS hours_past_escalate,
       coalesce(f.stands_why, CASE WHEN NOT f.ticket_told THEN 'the last run did not say which ticket carries it' END) AS escalate_why,
       in_words(f.escalate_us) AS agreed_escalate, in_words(f.open_us - f.escalate_us) AS escalate_over,
       -- ended: what was found is gone within the time of the clock that its control sets
       f.is_open AND f.clock = 'rotate' AND f.rotate_us IS NOT NULL AS must_be_rotated,
       CASE WHEN f.open_us <= f.rotate_us OR f.stands_why IS NULL THEN (f.open_us - f.rotate_us) / 3600e6 END AS hours_past_rotate,
       in_words(f.rotate_us) AS agreed_rotate, in_words(f.open_us - f.rotate_us) AS rotate_over,
       f.is_open AND f.clock = 'revoke' AND f.revoke_us IS NOT NULL AS must_be_revoked,
       CASE WHEN f.open_us <= f.revoke_us OR f.stands_why IS NULL THEN (f.open_us - f.revoke_us) / 3600e6 END AS hours_past_revoke,
       in_words(f.revoke_us) AS agreed_revoke, in_words(f.open_us - f.revoke_us) AS revoke_over,
       FALSE AS must_be_drilled, FALSE AS must_be_approved
FROM running f
UNION ALL BY NAME
SELECT 'ledger:' || d.customer || ':drill/' || d.path AS subject, 'finding' AS subject_kind, 'drill' AS kind, 'ledger' AS provider, d.customer AS scope,
       d.path AS identity_name,
       FALSE AS must_be_detected, FALSE AS must_be_escalated, FALSE AS must_be_rotated, FALSE AS must_be_revoked, TRUE AS must_be_drilled, FALSE AS must_be_approved,
       d.path AS drill_path,
       (epoch_us(run.as_of) - epoch_us(coalesce(d.last_at, d.began_at)) - d.period_us) / 86400e6 AS days_past_drill,
       CASE WHEN d.last_at IS NULL THEN 'never since the first run on ' || d.began_at::DATE ELSE 'last on ' || d.last_at::DATE END AS drilled,
       in_words(d.period_us) AS agreed_drill,
       in_words(epoch_us(run.as_of) - epoch_us(coalesce(d.last_at, d.began_at)) - d.period_us) AS drill_over
FROM drills d CROSS JOIN run
UNION ALL BY NAME
SELECT 'ledger:' || a.customer || ':plan/' || a.plan AS subject, 'finding' AS subject_kind, 'plan' AS kind, 'ledger' AS provider, a.customer AS scope,
       a.plan AS identity_name, a.partner,
       FALSE AS must_be_detected, FALSE AS must_be_escalated, FALSE AS must_be_rotated, FALSE AS must_be_revoked, FALSE AS must_be_drilled,
       TRUE AS must_be_approved,
       a.plan AS acted_plan, a.acted_by, date_trunc('second', a.taken_at) AS acted_on, date_trunc('second', a.owed_until) AS owed_until,
       -- what is approved is owed no more
       CASE WHEN a.settled_at IS NULL THEN (epoch_us(run.as_of) - epoch_us(a.owed_until)) / 3600e6
            ELSE least((epoch_us(a.settled_at) - epoch_us(a.owed_until)) / 3600e6, 0) END AS hours_past_approval,
       in_words(epoch_us(run.as_of) - epoch_us(a.owed_until)) AS owed_over
FROM approvals_owed a CROSS JOIN run;
