-- Facts of the register's entries: how many rules of each control an entry breaks, and what is said of each.
CREATE TEMP TABLE broken AS
SELECT subject, control, count(*) AS faults,
       array_to_string(list(said ORDER BY said)[1:5], '; ') || CASE WHEN count(*) > 5 THEN '; and ' || (count(*) - 5) || ' more' ELSE '' END AS said
FROM register_faults GROUP BY subject, control;

-- One row for each entry that breaks anything, one column for each control.
CREATE TEMP TABLE broken_entries AS
SELECT subject,
       max(faults) FILTER (control = 'register-names') AS names_faults,         max(said) FILTER (control = 'register-names') AS names_said,
       max(faults) FILTER (control = 'register-owners') AS owners_faults,       max(said) FILTER (control = 'register-owners') AS owners_said,
       max(faults) FILTER (control = 'register-raci') AS raci_faults,           max(said) FILTER (control = 'register-raci') AS raci_said,
       max(faults) FILTER (control = 'register-answers') AS answers_faults,     max(said) FILTER (control = 'register-answers') AS answers_said,
       max(faults) FILTER (control = 'register-slas') AS slas_faults,           max(said) FILTER (control = 'register-slas') AS slas_said,
       max(faults) FILTER (control = 'register-contract') AS contract_faults,   max(said) FILTER (control = 'register-contract') AS contract_said,
       max(faults) FILTER (control = 'register-workload') AS workload_faults,   max(said) FILTER (control = 'register-workload') AS workload_said,
       max(faults) FILTER (control = 'register-policy') AS policy_faults,       max(said) FILTER (control = 'register-policy') AS policy_said,
       max(faults) FILTER (control = 'register-footprint') AS footprint_faults, max(said) FILTER (control = 'register-footprint') AS footprint_said,
       max(faults) FILTER (control = 'exception-invalid') AS exception_faults,  max(said) FILTER (control = 'exception-invalid') AS exception_said
FROM broken GROUP BY subject;

-- Nothing about the register is ever unknown: it was read, or there is no run.
SELECT e.subject, 'register' AS subject_kind, e.kind, 'register' AS provider, e.customer AS scope, e.entry AS identity_name, e.partner, e.accountable,
       e.kind AS entry_kind, e.entry,
       TRUE AS is_entry,
       e.kind = 'control' AS is_control_entry,
       e.kind IN ('control', 'customer') AS gives_answers,
       e.kind = 'partner' AS is_partner_entry,
       e.kind = 'workload' AS is_workload_entry,
       e.kind IN ('customer', 'partner', 'workload') AS sets_limits,
       e.kind = 'exception' AND (e.holds OR b.exception_faults IS NOT NULL) AS is_exception,
       coalesce(b.names_faults, 0) AS register_names_faults,         b.names_said AS register_names_said,
       coalesce(b.owners_faults, 0) AS register_owners_faults,       b.owners_said AS register_owners_said,
       coalesce(b.raci_faults, 0) AS register_raci_faults,           b.raci_said AS register_raci_said,
       coalesce(b.answers_faults, 0) AS register_answers_faults,     b.answers_said AS register_answers_said,
       coalesce(b.slas_faults, 0) AS register_slas_faults,           b.slas_said AS register_slas_said,
       coalesce(b.contract_faults, 0) AS register_contract_faults,   b.contract_said AS register_contract_said,
       coalesce(b.workload_faults, 0) AS register_workload_faults,   b.workload_said AS register_workload_said,
       coalesce(b.policy_faults, 0) AS register_policy_faults,       b.policy_said AS register_policy_said,
       coalesce(b.footprint_faults, 0) AS register_footprint_faults, b.footprint_said AS register_footprint_said,
       coalesce(b.exception_faults, 0) AS exception_invalid_faults,  b.exception_said AS exception_invalid_said
FROM register_entries e LEFT JOIN broken_entries b USING (subject);
