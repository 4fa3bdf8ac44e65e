"""The tables of a period: what the export, its page and OSCAL are made from, and nothing else.

Times are UTC without a zone. A null says that it is not known or that there is none; the column's line says which.
"""

from __future__ import annotations

TABLES = {
    # Every entry of the ledger that was sealed in the period, judged or not.
    "runs": """
        sequence BIGINT, run VARCHAR, kind VARCHAR,  -- reconcile, failed, export, disposal, hold, key-change, drill-..., offboard
        slot VARCHAR, state VARCHAR,                 -- complete, partial, failed; null: an entry that reads nothing
        as_of TIMESTAMP,                             -- null: an entry that is not for a moment
        started TIMESTAMP, finished TIMESTAMP, statement_digest VARCHAR, keyid VARCHAR,
        judged BOOLEAN, error VARCHAR,               -- why it failed; null: it did not
        guard VARCHAR,                               -- why the run guard let nothing be acted on; null: it did
        limited_to VARCHAR[], resumed BIGINT,        -- how often it was taken over after its process died
        code_version VARCHAR, code_commit VARCHAR, register_digest VARCHAR, configuration_digest VARCHAR, runner VARCHAR,
        timestamped_at TIMESTAMP                     -- genTime of its RFC 3161 token; null: it has none
    """,
    # One row for each day (UTC) of the period: a night is the run that was judged as of that day.
    "nights": """
        day DATE, state VARCHAR,                    -- complete, partial, stopped (by the guard), failed, missing, before (the ledger began)
        sequence BIGINT, run VARCHAR,                -- of the last judged run of that day; null: none
        runs BIGINT, failures BIGINT,                -- judged runs and failed entries of that day
        failed_sequences BIGINT[],                   -- of the failed entries
        why VARCHAR                                  -- what explains anything but complete; null: complete, or nothing on file does
    """,
    # One row for each scope that a judged run reached, or should have: an earlier run of the period, or the one before it, had read it.
    "sources": """
        sequence BIGINT, as_of TIMESTAMP, source VARCHAR, provider VARCHAR, scope VARCHAR,
        state VARCHAR,                               -- complete, partial, denied, failed; not read: the run had nothing of it;
                                                     -- not configured, once: its source went with a change of the configuration
        caller VARCHAR, passed_over BOOLEAN, identities BIGINT, credentials BIGINT, reason VARCHAR
    """,
    "operations": """
        sequence BIGINT, as_of TIMESTAMP, source VARCHAR, provider VARCHAR, scope VARCHAR, operation VARCHAR, state VARCHAR,
        pages BIGINT, returned BIGINT, dropped BIGINT, dropped_why VARCHAR, independent_count BIGINT,  -- null: nothing counts it again
        agrees BOOLEAN,                              -- returned against the independent count; null: there is none
        error VARCHAR, started TIMESTAMP, finished TIMESTAMP
    """,
    # One row per judged run and control, as results.json has it.
    "results": """
        sequence BIGINT, as_of TIMESTAMP, control VARCHAR, verdict VARCHAR, population BIGINT, passed BIGINT, failed BIGINT,
        excepted BIGINT, unknown BIGINT, unknown_scopes BIGINT  -- of `unknown`, scopes that were not read: each counts as one
    """,
    # One row per control judged in the period, as the last judged run had it.
    "controls": """
        control VARCHAR, title VARCHAR, family VARCHAR, severity VARCHAR, maps_to VARCHAR[],
        accountable VARCHAR,                         -- person; null: nobody is
        governed_by VARCHAR,                         -- own, default, nobody
        verdict VARCHAR, population BIGINT, passed BIGINT, failed BIGINT, excepted BIGINT, unknown BIGINT
    """,
    # Everybody who was in a control's population in any judged run, never only the failures.
    "populations": """
        control VARCHAR, subject VARCHAR, subject_kind VARCHAR, kind VARCHAR, provider VARCHAR, scope VARCHAR,
        identity VARCHAR, identity_name VARCHAR, partner VARCHAR, accountable VARCHAR,  -- of the last run that saw it
        first_seen TIMESTAMP, last_seen TIMESTAMP,   -- first and last run of the period that had it in the population
        nights BIGINT, passed BIGINT, failed BIGINT, excepted BIGINT, unknown BIGINT,   -- days, each by its last run that had it
        verdict VARCHAR                              -- on last_seen: pass, fail, excepted, unknown
    """,
    # One row for each time that a finding was open: from when it began to fail until a run saw it hold. Two where it came back.
    "spells": """
        fingerprint VARCHAR, control VARCHAR, subject VARCHAR, subject_kind VARCHAR, identity VARCHAR, identity_name VARCHAR,
        provider VARCHAR, scope VARCHAR, partner VARCHAR, accountable VARCHAR, severity VARCHAR, reason VARCHAR,
        state VARCHAR,                               -- open, excepted, resolved: at the end of the period
        opened TIMESTAMP,                            -- when it began to fail; may lie before the period
        opened_sequence BIGINT,                      -- null: before the period
        closed TIMESTAMP, closed_sequence BIGINT,    -- the run that saw it hold; null: it stands
        days BIGINT,                                 -- whole days from opened to closed, or to the end of the period
        due TIMESTAMP,                               -- null: no service level sets one
        overdue_days BIGINT,                         -- days past due, rounded up, 0: never overdue; null: no due date
        excepted VARCHAR, excepted_until TIMESTAMP, reopened BIGINT, unobserved_since TIMESTAMP, looked_before TIMESTAMP,
        ticket_key VARCHAR, ticket VARCHAR           -- the desk's number; null: none was opened
    """,
    # One row per ticket that carried a finding of the period.
    "tickets": """
        key VARCHAR, ticket VARCHAR, control VARCHAR, partner VARCHAR, accountable VARCHAR, severity VARCHAR,
        opened TIMESTAMP, opened_sequence BIGINT,    -- the run that opened it; null: before the period
        closed TIMESTAMP, closed_sequence BIGINT,    -- the run that closed it because everything in it held; null: not closed
        reopened BIGINT, findings BIGINT, open_findings BIGINT, due TIMESTAMP, overdue_days BIGINT, failures BIGINT
    """,
    # One row per spell and clock that its control has: how long it took, what was agreed.
    "clocks": """
        fingerprint VARCHAR, opened TIMESTAMP, control VARCHAR, partner VARCHAR,
        clock VARCHAR,                               -- detect, escalate, rotate, revoke
        agreed_seconds BIGINT,                       -- null: no service level
        taken_seconds BIGINT,                        -- to its end, or to the end of the period where it runs; null: cannot be told
        running BOOLEAN, met BOOLEAN,                -- null: no service level, or cannot be told
        why VARCHAR                                  -- why it cannot be told
    """,
    "exceptions": """
        exception VARCHAR, control VARCHAR,
        severity VARCHAR,                            -- of the control: the risk that is taken; null: nothing judges it
        subject VARCHAR, identity_name VARCHAR, partner VARCHAR, requested_by VARCHAR,
        approved_by VARCHAR, approved_on DATE, reason VARCHAR, compensating_control VARCHAR, exit_criteria VARCHAR, expires DATE,
        renewals BIGINT, ended_on DATE,
        state VARCHAR,                               -- at the period's last judged run: in force; ended: over after it had held, or
                                                     -- before anybody looked; invalid: refused then, or by every run of its time;
                                                     -- requested: never approved
        in_force BOOLEAN, refused VARCHAR,           -- at that run; why it is not in force, null: it is
        refused_first VARCHAR, refused_since TIMESTAMP,  -- why the first run that refused it within its time did; null: none did
        nights_used BIGINT, first_used TIMESTAMP, last_used TIMESTAMP  -- days with a run in which it kept a finding from counting
    """,
    # Accountability, as it was: a new row for each register that was in force in the period.
    "accountability": """
        register_digest VARCHAR, from_sequence BIGINT, from_as_of TIMESTAMP, to_as_of TIMESTAMP,
        control VARCHAR, title VARCHAR, governed_by VARCHAR, business_owner VARCHAR, technical_owner VARCHAR, operational_owner VARCHAR,
        approves VARCHAR, implements VARCHAR, monitors VARCHAR, revokes VARCHAR, fallback VARCHAR,
        step VARCHAR, responsible VARCHAR, accountable VARCHAR, consulted VARCHAR, informed VARCHAR,
        accountable_is_customer BOOLEAN              -- an active person of the customer's is accountable
    """,
    "people": """
        person VARCHAR, name VARCHAR, party VARCHAR, -- null: the customer's own; else the partner
        active BOOLEAN, controls BIGINT, workloads BIGINT, open_findings BIGINT, overdue BIGINT
    """,
    # Registered uses of identities, as the last register that named each of them has it.
    "workloads": """
        workload VARCHAR, partner VARCHAR,           -- null: the customer's own
        owner VARCHAR, backup_owner VARCHAR,
        accountable VARCHAR,                         -- the first of the two who is an active person of the customer's; null: nobody is
        purpose VARCHAR, environment VARCHAR, expires DATE, reviewed DATE,
        identities VARCHAR[]                         -- as the register names them, `*` for any characters
    """,
    # Scorecards. The row of partner null is what is nobody's but the customer's.
    "partners": """
        partner VARCHAR, name VARCHAR, contract VARCHAR, starts DATE, ends DATE, retention VARCHAR, direct_evidence_access BOOLEAN,
        identities BIGINT, credentials BIGINT,       -- on the last judged night
        checks BIGINT, passed BIGINT, failed BIGINT, excepted BIGINT, unknown BIGINT,  -- verdicts on the last judged night
        opened BIGINT, closed BIGINT, open BIGINT, critical BIGINT, high BIGINT, overdue BIGINT,
        median_days_to_close BIGINT,                 -- null: none was closed
        clocks_met BIGINT, clocks_missed BIGINT
    """,
    # What became of a partner's access once its contract had ended (or it was offboarded, by the entry of that run).
    "offboardings": """
        partner VARCHAR, name VARCHAR, ended_on DATE, runs VARCHAR[], identities_at_end BIGINT, last_seen TIMESTAMP,
        gone_on DATE,                                -- first complete night without any of them; null: not yet, or not known
        days_to_gone BIGINT, left_over BIGINT,       -- live identities on the last judged night
        state VARCHAR, why VARCHAR,                  -- gone, still there, unknown
        certified VARCHAR, certificate VARCHAR       -- the latest certificate of an offboarding: complete or incomplete; its digest
    """,
    "drills": "sequence BIGINT, as_of TIMESTAMP, path VARCHAR, state VARCHAR, seconds BIGINT, findings BIGINT",
    # What an auditor drew, by size and seed; anybody draws the same again.
    "samples": """
        control VARCHAR, place BIGINT, draw VARCHAR, -- sha256 hex of subject, control, seed, joined as they are: its smallest, in order
        subject VARCHAR, identity_name VARCHAR, partner VARCHAR, verdict VARCHAR, first_seen TIMESTAMP, last_seen TIMESTAMP,
        population BIGINT
    """,
}
"""Table to its columns."""

ORDER = {
    "runs": "sequence",
    "nights": "day",
    "sources": "sequence, source, provider, scope",
    "operations": "sequence, source, provider, scope, operation, started, finished",
    "results": "sequence, control",
    "controls": "control",
    "populations": "control, subject",
    "spells": "control, subject, opened, fingerprint",
    "tickets": "key, ticket NULLS FIRST",
    "clocks": "control, fingerprint, opened, clock",
    "exceptions": "exception",
    "accountability": "from_sequence, control, step",
    "people": "person",
    "workloads": "workload",
    "partners": "partner NULLS LAST",
    "offboardings": "partner",
    "drills": "sequence",
    "samples": "control, place",
}
"""Table to the order of its rows that is the same every time."""
