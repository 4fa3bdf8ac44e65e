-- Facts of the clocks: the service levels of each finding that stood when the last run ended and still fails, or may, the drills, and
-- the approvals that are owed. They say what the replay says (countersign/clocks): by the terms of the night on which the finding began,
-- and rotation in the partner's time, that is business hours where the contract has them, without the pauses of plans.
-- A finding about a clock has no clock of its own.
CREATE TEMP MACRO in_words(us) AS
    CASE WHEN us >= 172800000000 THEN (us // 86400000000) || ' days' WHEN us >= 7200000000 THEN (us // 3600000000) || ' hours' ELSE (us // 60000000) || ' minutes' END;
CREATE TEMP MACRO in_work(us, day_us) AS
    CASE WHEN day_us IS NULL THEN in_words(us) WHEN us >= 2 * day_us THEN (us // day_us) || ' business days' WHEN us >= 7200000000 THEN (us // 3600000000) || ' business hours' ELSE (us // 60000000) || ' business minutes' END;

WITH standing AS (
    -- a subject that is gone where it would have been seen fails no more; neither does what tonight's facts say nothing against
    SELECT f.*, run.as_of, CASE WHEN n.verdict IN ('fails', 'unknown') THEN n.verdict WHEN k.listed_as IS NULL THEN 'unknown' END AS verdict
    FROM stood f CROSS JOIN run LEFT JOIN tonight n USING (fingerprint)
    LEFT JOIN looked_for k ON k.provider = f.provider AND k.scope = f.scope AND k.listed_as = f.listed_as
    WHERE NOT starts_with(f.control, 'sla-') AND f.control NOT IN ('drill-overdue', 'approval-owed')
),
agreed AS (
    SELECT f.* EXCLUDE (due), a.* EXCLUDE (since, control, partner, worked_us, due), coalesce(p.worked_us, a.worked_us) AS worked_us, coalesce(p.due, a.due) AS due,
           p.fingerprint IS NOT NULL AS is_under_plan, p.if_fails, p.if_unread, p.why AS plan_why, p.worked_us < a.worked_us AS is_paused,
           CASE WHEN a.control IS NULL THEN 'what was agreed when it began is not on file' ELSE a.why END AS terms_why,
           CASE WHEN f.verdict = 'unknown' THEN 'whether it still fails is not known tonight' END AS stands_why,
           epoch_us(f.as_of) - epoch_us(f.since) AS open_us, epoch_us(f.since) - epoch_us(f.looked_before) AS unseen_us,
           -- while an exception holds, nothing has to be done; one for what nobody can see holds until its day, whatever the register says
           CASE WHEN f.verdict = 'fails' THEN x.subject IS NULL ELSE NOT (f.state = 'excepted' AND coalesce(f.excepted_until > f.as_of, TRUE)) END AS is_open,
           f.told OR t.key IS NOT NULL AS has_ticket, epoch_us(coalesce(f.opened_at, f.as_of)) AS opened_us,
           -- that it should have a ticket is known up to tonight, or to the first night since then that could not look
           epoch_us(CASE WHEN f.verdict = 'fails' OR f.state = 'excepted' OR f.unobserved_since IS NULL THEN f.as_of ELSE coalesce(f.known_until, f.unobserved_since) END) AS known_us
    FROM standing f
    LEFT JOIN agreed_then a ON a.since = f.since AND a.control = f.control AND a.partner IS NOT DISTINCT FROM f.partner_then
    LEFT JOIN under_plans p USING (fingerprint)
    LEFT JOIN desk_tickets t ON t.key = f.ticket_key
    LEFT JOIN register_exceptions x ON x.control = f.control AND x.subject = f.subject
    WHERE f.verdict IS NOT NULL
),
judged AS (
    SELECT *, epoch_us(as_of) - opened_us AS untold_us,
           CASE WHEN is_under_plan THEN CASE verdict WHEN 'fails' THEN if_fails ELSE if_unread END
                WHEN due IS NULL THEN 'unknown'
                WHEN as_of <= due THEN 'running'     -- at that very instant it may still end in time
                WHEN verdict = 'fails' OR seen_at >= due THEN 'missed'
                ELSE 'unknown' END AS put_right,
           (epoch_us(as_of) - epoch_us(due)) / 3600e6 AS hours_past_due
    FROM agreed
),
running AS (
    SELECT *, CASE put_right WHEN 'missed' THEN greatest(hours_past_due, 1 / 3600e6) WHEN 'running' THEN least(hours_past_due, 0) END AS hours_past_end,
           coalesce(CASE WHEN is_under_plan THEN plan_why END, CASE WHEN due IS NULL THEN 'its time is over beyond the end of the calendar' END, stands_why) AS end_why,
           CASE WHEN day_us IS NOT NULL AND agreed_us % 86400000000 = 0 AND allowed_us < 2 * day_us THEN '1 business day' ELSE in_work(allowed_us, day_us) END AS agreed_end,
           in_words(open_us) || CASE WHEN day_us IS NOT NULL OR is_paused THEN ', ' || in_work(worked_us, day_us) || CASE WHEN is_paused THEN ' without pauses' ELSE '' END ELSE '' END AS end_after
    FROM judged
)
SELECT 'ledger:' || f.customer || ':finding/' || f.fingerprint AS subject, 'finding' AS subject_kind, 'finding' AS kind, 'ledger' AS provider,
       f.customer AS scope, f.identity, f.identity_name, f.partner, f.accountable,
       f.control AS late_control, f.subject AS late_subject, f.severity AS late_severity, f.since AS late_since, f.terms_why, f.end_why,
       -- found: the scope was read wholly so long before that it may have begun unseen
       CASE WHEN f.terms_why IS NULL THEN f.detect_us IS NOT NULL END AS must_be_detected,
       CASE WHEN f.detect_why IS NULL THEN (f.unseen_us - f.detect_limit_us) / 3600e6 END AS hours_past_detect,
       coalesce(f.detect_why, CASE WHEN f.looked_before IS NULL THEN 'nobody had read its scope wholly before it was found' END) AS detect_why,
       f.since AS found_at, f.looked_before, in_words(f.unseen_us) AS unseen_for, in_words(f.detect_us) AS agreed_detect,
       -- told: an open finding has a ticket at the desk
       CASE WHEN NOT f.is_open THEN FALSE WHEN f.terms_why IS NULL THEN f.escalate_us IS NOT NULL END AS must_be_escalated,
       CASE WHEN f.has_ticket THEN 0
            WHEN f.untold_us <= f.escalate_us OR (f.ticket_told AND f.known_us - f.opened_us > f.escalate_us) THEN (f.untold_us - f.escalate_us) / 3600e6
            END AS hours_past_escalate,
       CASE WHEN NOT f.ticket_told THEN 'the last run did not say which ticket carries it' ELSE f.stands_why END AS escalate_why,
       in_words(f.escalate_us) AS agreed_escalate, in_words(f.untold_us - f.escalate_us) AS escalate_over,
       -- ended: what was found is gone within the time of the clock that its control sets
       CASE WHEN NOT f.is_open OR f.clock IS DISTINCT FROM 'rotate' THEN FALSE WHEN f.terms_why IS NULL THEN f.agreed_us IS NOT NULL END AS must_be_rotated,
       f.hours_past_end AS hours_past_rotate, f.agreed_end AS agreed_rotate, f.end_after AS rotate_after,
       CASE WHEN NOT f.is_open OR f.clock IS DISTINCT FROM 'revoke' THEN FALSE WHEN f.terms_why IS NULL THEN f.agreed_us IS NOT NULL END AS must_be_revoked,
       f.hours_past_end AS hours_past_revoke, f.agreed_end AS agreed_revoke, f.end_after AS revoke_after,
       FALSE AS must_be_drilled, FALSE AS must_be_approved
FROM (SELECT running.*, customer FROM running CROSS JOIN (SELECT DISTINCT customer FROM register_entries)) f
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
