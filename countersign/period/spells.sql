-- Makes `spells`, `tickets` and `clocks` of the findings of all sound judged runs (`found`; a run that the guard stopped changed nothing).
-- Given: entry (sequence, as_of), ending (until, last_sound, partner: null for all), receipts and plans (from tickets.json and plan.json), slas and looked (by sequence).

-- A finding keeps `since` while it stands, so fingerprint and since name one life of it; a ticket's key, one stretch of that.
CREATE TEMP TABLE stretches AS
SELECT fingerprint, since, ticket_key, min(sequence) AS first_sequence, max(sequence) AS last_sequence,
       min(sequence) FILTER (state = 'resolved') AS closed_sequence, min(sequence) FILTER (state = 'open') AS open_sequence,
       min(sequence) FILTER (as_of = since) AS opened_sequence
FROM found GROUP BY fingerprint, since, ticket_key;

-- One that began again without having been closed (a ledger that was begun anew) never ended: it is told as one.
CREATE TEMP TABLE lives AS
SELECT *, sum(is_new) OVER (PARTITION BY fingerprint ORDER BY first_sequence, since) AS spell
FROM (SELECT *, CASE WHEN lag(first_sequence) OVER life IS NULL OR lag(closed_sequence) OVER life IS NOT NULL THEN 1 ELSE 0 END AS is_new
      FROM (SELECT fingerprint, since, min(first_sequence) AS first_sequence, max(last_sequence) AS last_sequence,
                   min(closed_sequence) AS closed_sequence, min(opened_sequence) AS opened_sequence, min(open_sequence) AS open_sequence
            FROM stretches GROUP BY fingerprint, since)
      WINDOW life AS (PARTITION BY fingerprint ORDER BY first_sequence, since));

CREATE TEMP TABLE spans AS
SELECT fingerprint, spell, arg_min(since, first_sequence) AS opened, arg_min(opened_sequence, first_sequence) AS opened_sequence,
       min(first_sequence) AS first_sequence, max(last_sequence) AS last_sequence, arg_max(closed_sequence, last_sequence) AS closed_sequence,
       min(open_sequence) AS open_sequence, count(*) - 1 AS begun_again
FROM lives GROUP BY fingerprint, spell;
-- arg_min and arg_max pass over nulls, so where the first life has no run that opened it, or the last none that closed it, say so.
UPDATE spans SET opened_sequence = NULL
FROM lives l WHERE l.fingerprint = spans.fingerprint AND l.spell = spans.spell AND l.first_sequence = spans.first_sequence AND l.opened_sequence IS NULL;
UPDATE spans SET closed_sequence = NULL
FROM lives l WHERE l.fingerprint = spans.fingerprint AND l.spell = spans.spell AND l.last_sequence = spans.last_sequence AND l.closed_sequence IS NULL;

-- What the last run that told of a spell said of it. Most stand to the end, so few rows of earlier files are read in full.
CREATE TEMP TABLE said AS
SELECT f.* FROM found f JOIN spans s ON s.fingerprint = f.fingerprint AND s.last_sequence = f.sequence, ending
WHERE f.sequence = ending.last_sound
UNION ALL
SELECT f.* FROM found f JOIN spans s ON s.fingerprint = f.fingerprint AND s.last_sequence = f.sequence, ending
WHERE f.state = 'resolved' AND f.sequence <> ending.last_sound
UNION ALL
SELECT f.* FROM found f JOIN (SELECT s.* FROM spans s, ending e WHERE s.closed_sequence IS NULL AND s.last_sequence <> e.last_sound) s
  ON s.fingerprint = f.fingerprint AND s.last_sequence = f.sequence, ending
WHERE f.state <> 'resolved' AND f.sequence <> ending.last_sound;

-- From which run on the desk had a ticket under a key; its number may change when one follows another.
CREATE TEMP TABLE at_desk AS
SELECT key, min(sequence) AS first_sequence, arg_max(ticket, sequence) AS ticket
FROM receipts WHERE ticket IS NOT NULL AND action <> 'rolled-up' GROUP BY key;
CREATE TEMP TABLE numbered AS
SELECT s.fingerprint, l.spell, s.ticket_key, d.ticket, s.first_sequence, s.last_sequence, 
       CASE WHEN d.key IS NOT NULL THEN greatest(s.first_sequence, d.first_sequence) END AS told_sequence
FROM stretches s JOIN lives l USING (fingerprint, since) LEFT JOIN at_desk d ON d.key = s.ticket_key WHERE s.ticket_key IS NOT NULL;

INSERT INTO spells BY NAME
SELECT s.fingerprint, f.control, f.subject, f.subject_kind, f.identity, f.identity_name, f.provider, f.scope, f.partner, f.accountable, f.severity, f.reason,
       CASE WHEN s.closed_sequence IS NULL THEN f.state ELSE 'resolved' END AS state, s.opened, s.opened_sequence, c.as_of AS closed, s.closed_sequence,
       greatest(0, (epoch_us(coalesce(c.as_of, e.until)) - epoch_us(s.opened)) // 86400000000) AS days, f.due,
       CASE WHEN f.due IS NOT NULL THEN greatest(0, (epoch_us(coalesce(c.as_of, e.until)) - epoch_us(f.due) + 86399999999) // 86400000000) END AS overdue_days,
       f.excepted, f.excepted_until, f.reopened, f.unobserved_since, f.looked_before, f.ticket_key, d.ticket
FROM spans s JOIN said f ON f.fingerprint = s.fingerprint AND f.sequence = s.last_sequence CROSS JOIN ending e
LEFT JOIN entry c ON c.sequence = s.closed_sequence LEFT JOIN at_desk d ON d.key = f.ticket_key
WHERE e.partner IS NULL OR f.partner = e.partner;

-- Tickets. A key that was opened again after its ticket had long been closed has a second ticket: a row each.
CREATE TEMP TABLE ticket_runs AS
SELECT key, ticket, min(sequence) AS first_sequence, max(sequence) AS last_sequence,
       min(sequence) FILTER (action = 'created') AS opened_sequence, max(sequence) FILTER (action = 'closed') AS closed_sequence,
       max(sequence) FILTER (action IN ('created', 'reopened')) AS live_sequence, count(*) FILTER (action = 'reopened') AS reopened
FROM receipts WHERE ticket IS NOT NULL AND action <> 'rolled-up' GROUP BY key, ticket;
CREATE TEMP TABLE carried AS
SELECT DISTINCT s.ticket_key AS key, r.ticket, s.fingerprint, s.spell
FROM numbered s LEFT JOIN ticket_runs r ON r.key = s.ticket_key AND r.first_sequence <= s.last_sequence AND r.last_sequence >= s.first_sequence;
CREATE TEMP TABLE planned AS SELECT key, arg_max(control, sequence) AS control, arg_max(partner, sequence) AS partner FROM plans GROUP BY key;
CREATE TEMP TABLE failing AS SELECT key, count(*) AS failures FROM receipts WHERE action = 'failed' GROUP BY key;

INSERT INTO tickets BY NAME
WITH loads AS (
    SELECT c.key, c.ticket, count(DISTINCT c.fingerprint) AS findings,
           count(DISTINCT c.fingerprint) FILTER (p.state <> 'resolved' AND p.ticket_key = c.key) AS open_findings,
           coalesce(min(p.due) FILTER (p.state <> 'resolved' AND p.ticket_key = c.key), min(p.due)) AS due, max(p.overdue_days) AS overdue_days,
           ['critical', 'high', 'medium', 'low'][min(coalesce(list_position(['critical', 'high', 'medium', 'low'], p.severity), 4))] AS severity,
           max(p.accountable) AS accountable, min(p.control) AS control, max(p.partner) AS partner
    FROM carried c JOIN spans s USING (fingerprint, spell) JOIN spells p ON p.fingerprint = s.fingerprint AND p.opened = s.opened
    GROUP BY c.key, c.ticket
)
SELECT l.key, l.ticket, coalesce(n.control, l.control) AS control, CASE WHEN n.key IS NULL THEN l.partner ELSE n.partner END AS partner, l.accountable, l.severity,
       o.as_of AS opened, r.opened_sequence, c.as_of AS closed, c.sequence AS closed_sequence, coalesce(r.reopened, 0) AS reopened,
       l.findings, l.open_findings, l.due, l.overdue_days, coalesce(w.failures, 0) AS failures
FROM loads l CROSS JOIN ending e LEFT JOIN ticket_runs r ON r.key = l.key AND r.ticket = l.ticket
LEFT JOIN planned n ON n.key = l.key
LEFT JOIN failing w ON w.key = l.key
LEFT JOIN entry o ON o.sequence = r.opened_sequence
LEFT JOIN entry c ON c.sequence = r.closed_sequence AND r.closed_sequence > coalesce(r.live_sequence, 0)
WHERE e.partner IS NULL OR CASE WHEN n.key IS NULL THEN l.partner ELSE n.partner END = e.partner;

-- Clocks, by the terms of the run that began each (of one that began before the period, the first run in it): how long the customer was
-- exposed, whatever was read or excepted meanwhile, against the time that was agreed. Where that is in business hours, its end is the
-- finding's due date, which is fixed when it begins; pauses are left aside (`countersign clocks` has them).
CREATE TEMP TABLE agreed AS
SELECT s.fingerprint, s.spell, a.clock, a.detect_us, a.escalate_us, a.rotate_us, a.revoke_us
FROM (SELECT s.fingerprint, s.spell, s.first_sequence AS sequence, f.control FROM spans s JOIN said f ON f.fingerprint = s.fingerprint AND f.sequence = s.last_sequence) s
ASOF JOIN slas a ON a.control = s.control AND s.sequence >= a.sequence;
CREATE TEMP TABLE timed AS
SELECT p.*, s.open_sequence, a.clock AS ends_by, a.detect_us, a.escalate_us, a.rotate_us, a.revoke_us, epoch_us(coalesce(p.closed, e.until)) - epoch_us(p.opened) AS open_us,
       f.first_seen, o.as_of AS first_open, t.as_of AS told, t.sequence AS told_sequence, s.first_sequence, k.looked_before AS looked_again
FROM spells p JOIN spans s ON s.fingerprint = p.fingerprint AND s.opened = p.opened JOIN said f ON f.fingerprint = s.fingerprint AND f.sequence = s.last_sequence
JOIN agreed a ON a.fingerprint = s.fingerprint AND a.spell = s.spell CROSS JOIN ending e
LEFT JOIN entry o ON o.sequence = s.open_sequence
LEFT JOIN (SELECT fingerprint, spell, min(told_sequence) AS sequence FROM numbered GROUP BY ALL) n ON n.fingerprint = s.fingerprint AND n.spell = s.spell
LEFT JOIN entry t ON t.sequence = n.sequence
LEFT JOIN looked k ON k.sequence = s.opened_sequence AND k.provider = p.provider AND k.scope = p.scope
WHERE NOT starts_with(p.control, 'sla-') AND p.control NOT IN ('drill-overdue', 'approval-owed');

CREATE TEMP TABLE measured AS
-- found: when it began, its scope had been read wholly that long before; a second spell is measured by the night that saw it come back
SELECT fingerprint, opened, control, partner, 'detect' AS clock, detect_us AS agreed_us, FALSE AS running,
       epoch_us(opened) - epoch_us(CASE WHEN first_seen = opened THEN looked_before ELSE looked_again END) AS taken_us,
       -- a twelfth more than agreed is no night that was missed (facts/clocks.sql)
       detect_us + detect_us // 12 AS limit_us,
       CASE WHEN first_seen = opened AND looked_before IS NULL THEN 'nobody had read its scope wholly before it was found'
            WHEN first_seen <> opened AND opened_sequence IS NULL THEN 'it came back before the period'
            WHEN first_seen <> opened AND looked_again IS NULL THEN 'when its scope had been read wholly before is not on file' END AS unknown
FROM timed
UNION ALL BY NAME
-- told: an open finding has a ticket at the desk
SELECT fingerprint, opened, control, partner, 'escalate' AS clock, escalate_us AS agreed_us, told IS NULL AND closed IS NULL AND state = 'open' AS running,
       CASE WHEN told IS NULL THEN open_us
            WHEN opened_sequence IS NOT NULL OR told_sequence > first_sequence OR epoch_us(told) - epoch_us(opened) <= escalate_us
            THEN greatest(0, epoch_us(told) - epoch_us(opened)) END AS taken_us,
       escalate_us AS limit_us,
       CASE WHEN told IS NULL AND state = 'excepted' THEN 'while an exception holds, nobody need be told'
            WHEN told IS NULL AND unobserved_since IS NOT NULL AND closed IS NULL THEN 'whether it still fails is not known'
            WHEN told IS NOT NULL AND taken_us IS NULL THEN 'its ticket was opened before the period' END AS unknown
FROM timed WHERE open_sequence IS NOT NULL OR told IS NOT NULL
UNION ALL BY NAME
-- ended: by the clock that its control sets; an exception stops no clock, but while it holds nothing has to be done
SELECT fingerprint, opened, control, partner, ends_by AS clock, CASE ends_by WHEN 'rotate' THEN rotate_us ELSE revoke_us END AS agreed_us, closed IS NULL AS running,
       open_us AS taken_us, CASE WHEN agreed_us IS NOT NULL THEN coalesce(epoch_us(due) - epoch_us(opened), agreed_us) END AS limit_us,
       CASE WHEN closed IS NULL AND state = 'excepted' THEN 'an exception holds, so nothing has to be done meanwhile'
            WHEN closed IS NULL AND unobserved_since IS NOT NULL AND open_us > limit_us THEN 'whether it still fails is not known' END AS unknown
FROM timed WHERE ends_by IN ('rotate', 'revoke');

INSERT INTO clocks BY NAME
SELECT fingerprint, opened, control, partner, clock, agreed_us // 1000000 AS agreed_seconds, taken_us // 1000000 AS taken_seconds, running,
       CASE WHEN agreed_us IS NULL OR unknown IS NOT NULL OR taken_us IS NULL OR (running AND taken_us <= limit_us) THEN NULL ELSE taken_us <= limit_us END AS met,
       CASE WHEN agreed_us IS NULL THEN 'no service level is agreed' WHEN unknown IS NOT NULL THEN unknown
            WHEN running AND taken_us <= limit_us THEN 'it runs, and is within the agreed time' END AS why
FROM measured;
