-- Facts of credentials: rotation, expiry, lifetime, overlap, use.

-- The limits of credentials by track. Whoever is of no known track is under a limit only where both tracks have the same one.
CREATE TEMP TABLE kind_limits AS
SELECT policy, CASE track WHEN 'human' THEN 'human' ELSE 'machine' END AS track, policy_kind, rotate_us, rotate_limit, must_expire, lifetime_us, lifetime_limit,
       FALSE AS rotate_open, FALSE AS expiry_open, FALSE AS lifetime_open
FROM register_limits
UNION ALL BY NAME
SELECT policy, 'unknown' AS track, policy_kind, CASE WHEN h.rotate_us = m.rotate_us THEN m.rotate_us END AS rotate_us, m.rotate_limit,
       coalesce(h.must_expire, FALSE) AND coalesce(m.must_expire, FALSE) AS must_expire,
       CASE WHEN h.lifetime_us = m.lifetime_us THEN m.lifetime_us END AS lifetime_us, m.lifetime_limit,
       h.rotate_us IS DISTINCT FROM m.rotate_us AS rotate_open, coalesce(h.must_expire, FALSE) <> coalesce(m.must_expire, FALSE) AS expiry_open,
       h.lifetime_us IS DISTINCT FROM m.lifetime_us AS lifetime_open
FROM (FROM register_limits WHERE track = 'human') h FULL JOIN (FROM register_limits WHERE track = 'machine') m USING (policy, policy_kind);
CREATE TEMP TABLE track_limits AS
SELECT policy, track, max_idle_us, idle_limit, grace_us, overlap_us, overlap_limit, max_ttl_us, ttl_limit, FALSE AS overlap_open, FALSE AS ttl_open FROM register_policies
UNION ALL BY NAME
SELECT policy, 'unknown' AS track, CASE WHEN h.overlap_us = m.overlap_us THEN m.overlap_us END AS overlap_us, m.overlap_limit,
       CASE WHEN h.max_ttl_us = m.max_ttl_us THEN m.max_ttl_us END AS max_ttl_us, m.ttl_limit,
       h.overlap_us IS DISTINCT FROM m.overlap_us AS overlap_open, h.max_ttl_us IS DISTINCT FROM m.max_ttl_us AS ttl_open
FROM (FROM register_policies WHERE track = 'human') h JOIN (FROM register_policies WHERE track = 'machine') m USING (policy);

-- Credentials with what their identity, kind and limits say of them.
CREATE TEMP VIEW held AS
SELECT c.uid, c.identity_uid, c.provider, c.scope, c.kind, c.enabled, c.created_at, c.expires_at, c.last_used_at, c.last_used_state, c.observed_at, c.unknown,
       who.partner, who.partner_how, who.workload, who.owner, who.accountable, who.track, who.track_why, coalesce(c.name, who.name) AS identity_name, who.as_of,
       who.created_at AS identity_created_at,
       CASE WHEN who.uid IS NULL THEN 'its identity was not read' ELSE who.partner_why END AS partner_why,
       CASE c.last_used_state WHEN 'known' THEN greatest(c.last_used_at, c.created_at) WHEN 'never' THEN c.created_at END AS active_at,
       epoch_us(who.as_of) - CASE WHEN c.use_seen_to < who.as_of THEN greatest(epoch_us(c.observed_at) - epoch_us(c.use_seen_to), 0) ELSE 0 END AS seen_us,
       -- a place is nobody's, and what it holds lives all the same
       c.enabled AND who.enabled AND NOT (who.provider_managed AND who.kind NOT IN ('mount', 'account', 'project')) AS live,
       c.unknown['expires_at'] AS expiry_why,
       -- nobody gets in with it any more
       CASE WHEN c.expires_at IS NOT NULL THEN c.expires_at <= who.as_of WHEN c.unknown['expires_at'] IS NULL THEN FALSE END AS ended,
       CASE WHEN who.uid IS NULL THEN 'its identity was not read' ELSE coalesce(c.unknown['enabled'],
            CASE WHEN c.enabled IS NULL THEN 'the source does not say whether it is enabled' END, who.enabled_why) END AS enabled_why,
       -- from its making to its end: ten thousand years where it has none
       CASE WHEN c.expires_at IS NOT NULL THEN epoch_us(c.expires_at) - epoch_us(c.created_at) WHEN c.unknown['expires_at'] IS NULL THEN 315360000000000000 END AS life_us,
       coalesce(c.ttl_s * 1000000, CASE WHEN c.unknown['ttl_s'] IS NULL THEN life_us END) AS ttl_us,
       CASE WHEN k.is_leased THEN c.unknown['ttl_s'] END AS ttl_why,
       l.rotate_us, l.rotate_limit, l.rotate_open, l.must_expire, l.expiry_open, l.lifetime_us, l.lifetime_limit, l.lifetime_open,
       p.max_idle_us, p.idle_limit, p.grace_us, p.overlap_us, p.overlap_limit, p.overlap_open, p.max_ttl_us, p.ttl_limit, p.ttl_open,
       k.idles, k.pairs, k.ends_itself, k.succession, k.is_leased, k.used_by_day, k.is_lasting, k.machine_instead, k.human_instead,
       as_of - to_microseconds(2 * l.rotate_us) AS window_at
FROM credentials c
LEFT JOIN who ON who.uid = c.identity_uid
LEFT JOIN kinds k ON k.provider = c.provider AND k.kind = c.kind
LEFT JOIN kind_limits l ON l.policy = coalesce(who.policy, 0) AND l.policy_kind = k.policy_kind
     AND l.track = CASE who.track WHEN 'human' THEN 'human' WHEN 'machine' THEN 'machine' WHEN 'delegation' THEN 'machine' ELSE 'unknown' END
LEFT JOIN track_limits p ON p.policy = coalesce(who.policy, 0)
     AND p.track = CASE who.track WHEN 'human' THEN 'human' WHEN 'machine' THEN 'machine' WHEN 'delegation' THEN 'machine' ELSE 'unknown' END;

-- Credentials of one identity and kind, where there are several: which is the newest, and how often one followed another.
CREATE OR REPLACE TABLE siblings AS
WITH counted AS MATERIALIZED (
    SELECT identity_uid, kind, count(*) FILTER (open) AS live_count, count(*) FILTER (open IS NULL) AS unclear_count,
           count(*) FILTER (created_at IS NULL AND open IS NOT FALSE) AS undated_count, count(*) FILTER (created_at IS NULL) AS undated_ever,
           max(created_at) FILTER (open) AS newest_at, arg_max(uid, (created_at, uid)) FILTER (open AND created_at IS NOT NULL) AS newest_uid,
           max(created_at) FILTER (open IS NULL) AS newest_unclear_at, min(created_at) AS first_at,
           count(*) FILTER (made_in_window) AS made, date_diff('second', min(created_at) FILTER (made_in_window), max(created_at) FILTER (made_in_window)) AS apart_s
    FROM (SELECT *, live AND NOT ended AS open, created_at > window_at AND created_at <= as_of AS made_in_window FROM held WHERE succession = 'identity')
    GROUP BY identity_uid, kind HAVING count(*) > 1
),
exactly AS (    -- of many, those that were made in one second are one; of two it is seen without looking again
    SELECT identity_uid, kind, count(DISTINCT date_trunc('second', created_at)) AS made
    FROM held SEMI JOIN (FROM counted WHERE made > 2) USING (identity_uid, kind) WHERE created_at > window_at AND created_at <= as_of GROUP BY identity_uid, kind
)
SELECT c.* EXCLUDE (made, apart_s), CASE WHEN c.made > 2 THEN e.made WHEN c.apart_s = 0 THEN 1 ELSE c.made END AS made_in_window
FROM counted c LEFT JOIN exactly e USING (identity_uid, kind);

CREATE TEMP TABLE earlier AS SELECT subject, kind, list(since) AS made, min(since) AS first_at FROM history WHERE what = 'creation' GROUP BY subject, kind;

CREATE TEMP VIEW followed AS
SELECT h.*, s.live_count, s.unclear_count, s.undated_count, s.newest_at, s.newest_uid, r.reach_at, o.since AS off_at,
       least(coalesce(s.first_at, h.created_at), e.first_at) AS first_made_at, coalesce(s.undated_ever, 0) AS undated_ever,
       coalesce(s.made_in_window, CASE WHEN h.created_at > h.window_at AND h.created_at <= h.as_of THEN 1 ELSE 0 END)
           + coalesce(len(list_filter(e.made, lambda one: one > h.window_at)), 0) AS made_in_window,
       -- whether it is the newest that is open; null where another may be
       CASE WHEN h.created_at IS NULL THEN NULL
            WHEN s.newest_uid IS NULL THEN TRUE
            WHEN s.newest_uid <> h.uid AND (h.live AND NOT h.ended OR s.newest_at >= h.created_at) THEN FALSE
            WHEN s.newest_uid <> h.uid OR s.undated_count > 0 OR s.newest_unclear_at > h.created_at THEN NULL
            ELSE TRUE END AS is_newest
FROM held h
LEFT JOIN siblings s ON s.identity_uid = h.identity_uid AND s.kind = h.kind
LEFT JOIN earlier e ON e.kind = h.kind AND e.subject = CASE h.succession WHEN 'itself' THEN h.uid WHEN 'identity' THEN h.identity_uid END
LEFT JOIN reach r ON r.provider = h.provider AND r.scope = h.scope AND r.kind = h.kind AND r.rotate_us = h.rotate_us
LEFT JOIN (SELECT subject, since FROM history WHERE what = 'off') o ON o.subject = h.uid;

CREATE TEMP VIEW judged AS
SELECT f.*, epoch_us(active_at) + max_idle_us + grace_us AS idle_from_us,
       p.contract_ends_at, p.contract_ends_on, w.expires_at AS workload_expires_at, w.expires_on AS workload_expires_on,
       greatest(made_in_window - CASE WHEN first_made_at > window_at THEN 1 ELSE 0 END, 0) AS rotations,    -- the first of all followed none
       -- the earliest end of its access that is over; of what is first seen off tonight, nobody can have used it since
       least(CASE WHEN p.contract_ends_at <= as_of THEN p.contract_ends_at END, CASE WHEN w.expires_at <= as_of THEN w.expires_at END,
             CASE WHEN off_at < as_of THEN off_at END, CASE WHEN t.until < as_of THEN t.until END) AS access_ended_at,
       t.until AS taken_until, t.since AS taken_at, t.plan AS taken_by,
       CASE WHEN used_by_day THEN date_trunc('day', last_used_at) ELSE last_used_at END AS used_from_at,
       -- short-lived: no longer than half a day, and than the policy lets a token live
       least(coalesce(max_ttl_us, 43200000000), 43200000000) AS short_us
FROM followed f LEFT JOIN register_partners p ON p.partner = f.partner LEFT JOIN register_workloads w ON w.workload = f.workload
-- what was made since under its name is another one
LEFT JOIN taken t ON t.subject = f.uid AND (f.created_at > t.since) IS DISTINCT FROM TRUE;

SELECT h.uid AS subject, 'credential' AS subject_kind, h.kind, h.provider, h.scope, h.identity_uid AS identity, h.identity_name,
       h.partner, h.partner_how, h.partner_why, h.workload, h.owner, h.accountable, h.track, h.enabled, h.enabled_why, h.track_why,
       h.created_at, h.last_used_at, h.last_used_state, h.expires_at, h.observed_at,
       coalesce(h.unknown['created_at'], CASE WHEN h.created_at IS NULL THEN 'the source does not say when it was created' END) AS created_why,
       coalesce(h.unknown['last_used_at'], h.unknown['last_used_state'],
                CASE WHEN h.last_used_state = 'unknown' THEN 'the source does not say when it was last used'
                     WHEN h.seen_us < epoch_us(h.as_of) THEN 'whether it was used in the days since the report is not known' END) AS use_why,
       h.expiry_why, h.ttl_why,
       h.created_at::DATE AS created_on, h.active_at,
       CASE WHEN h.last_used_state = 'never' THEN 'never used; created ' WHEN h.last_used_at < h.created_at THEN 'not used since it was set '
            ELSE 'last used ' END || h.active_at::DATE AS activity,
       h.expires_at::DATE AS expires_on,
       (epoch_us(h.as_of) - epoch_us(h.created_at)) // 86400000000 AS age_days,
       (epoch_us(h.as_of) - epoch_us(h.active_at)) // 86400000000 AS idle_days,
       (epoch_us(h.as_of) - epoch_us(h.expires_at)) // 86400000000 AS expired_days,
       h.rotate_us // 86400000000 AS rotation_limit_days, h.rotate_limit AS rotation_limit, h.max_idle_us // 86400000000 AS idle_limit_days, h.idle_limit,
       h.overlap_us // 86400000000 AS overlap_limit_days, h.overlap_limit, h.newest_at::DATE AS successor_on, h.newest_uid AS successor,
       (epoch_us(h.as_of) - epoch_us(h.newest_at)) // 86400000000 AS overlap_days,
       -- rotation
       h.live AND CASE WHEN h.rotate_open THEN NULL ELSE h.rotate_us IS NOT NULL END AS rotates,
       (epoch_us(h.as_of) - epoch_us(h.created_at) - h.rotate_us) / 86400e6 AS days_past_rotation,
       -- rotation as a habit: two in two periods, of whatever is that old
       h.live AND NOT h.ended AND CASE WHEN h.rotate_open THEN NULL ELSE h.rotate_us IS NOT NULL END AND (h.succession IS NULL OR h.is_newest) AND
           CASE WHEN h.succession IS NULL THEN TRUE
                WHEN h.succession = 'identity' AND h.identity_created_at > h.window_at THEN FALSE
                WHEN h.rotations >= 2 OR h.first_made_at <= h.window_at THEN TRUE
                WHEN h.reach_at <= h.window_at AND h.undated_ever = 0 THEN FALSE END AS should_have_rotated,
       CASE WHEN h.succession IS NULL THEN NULL
            WHEN h.rotations >= 2 THEN h.rotations
            WHEN h.reach_at <= h.window_at AND h.undated_ever = 0 THEN h.rotations
            WHEN h.succession = 'itself' AND h.created_at <= h.window_at THEN 0 END AS rotations,
       h.window_at::DATE AS rotations_since,
       CASE WHEN h.rotate_us IS NULL THEN NULL
            WHEN h.succession IS NULL THEN 'nobody says which of this kind followed which'
            WHEN h.undated_ever > 0 THEN 'when another of its credentials was created is not known'
            WHEN h.reach_at IS NULL THEN 'the listing of its kind was never read wholly here'
            WHEN h.reach_at > h.window_at THEN 'the evidence reaches back to ' || h.reach_at::DATE || ', two periods to ' || h.window_at::DATE END AS rotations_why,
       -- expiry
       h.live AND CASE WHEN h.expiry_open THEN NULL ELSE coalesce(h.must_expire, FALSE) END AS must_expire,
       CASE WHEN h.expires_at IS NOT NULL THEN TRUE WHEN h.expiry_why IS NULL THEN FALSE END AS has_expiry,
       h.live AND NOT coalesce(h.ends_itself, FALSE) AND CASE WHEN h.expires_at IS NOT NULL THEN TRUE WHEN h.expiry_why IS NULL THEN FALSE END AS expires,
       (epoch_us(h.as_of) - epoch_us(h.expires_at)) / 86400e6 AS days_past_expiry,
       -- lifetime: a token or lease is also under the limit of those
       h.live AND NOT h.ended AND CASE WHEN h.lifetime_us IS NOT NULL OR h.is_leased AND h.max_ttl_us IS NOT NULL THEN TRUE
                                       WHEN h.lifetime_open OR h.is_leased AND h.ttl_open THEN NULL ELSE FALSE END AS has_lifetime_limit,
       CASE WHEN h.life_us > h.lifetime_us OR h.is_leased AND h.ttl_us > h.max_ttl_us
            THEN greatest(h.life_us - h.lifetime_us, CASE WHEN h.is_leased THEN h.ttl_us - h.max_ttl_us END) / 86400e6
            WHEN h.lifetime_us IS NOT NULL AND h.life_us IS NULL OR h.is_leased AND h.max_ttl_us IS NOT NULL AND h.ttl_us IS NULL THEN NULL
            WHEN h.lifetime_open OR h.is_leased AND h.ttl_open THEN NULL
            ELSE greatest(h.life_us - h.lifetime_us, CASE WHEN h.is_leased THEN h.ttl_us - h.max_ttl_us END) / 86400e6 END AS days_past_lifetime,
       CASE WHEN h.is_leased AND (h.life_us <= h.lifetime_us OR h.lifetime_us IS NULL) THEN h.ttl_limit ELSE h.lifetime_limit END AS lifetime_limit,
       CASE WHEN h.life_us = 315360000000000000 AND (NOT h.is_leased OR h.ttl_us = h.life_us) THEN 'never expires'
            WHEN h.is_leased AND (h.life_us <= h.lifetime_us OR h.lifetime_us IS NULL) THEN 'lives ' || round(h.ttl_us / 3600e6, 1) || ' hours'
            WHEN h.life_us > 172800000000 THEN 'lives ' || h.life_us // 86400000000 || ' days' ELSE 'lives ' || round(h.life_us / 3600e6, 1) || ' hours' END AS lifetime,
       -- what may be federated, where policy wants a track to live on what is short-lived: the very credentials that federation uses hold
       h.live AND NOT h.ended AND CASE WHEN h.ttl_open THEN NULL ELSE h.max_ttl_us IS NOT NULL END
           AND CASE WHEN h.is_lasting IS NULL THEN FALSE WHEN NOT h.is_lasting THEN TRUE
                    WHEN h.track IS NULL THEN NULL ELSE h.track IN ('human', 'machine') END AS may_federate,
       CASE WHEN NOT h.is_lasting THEN FALSE
            WHEN h.ttl_us <= h.short_us OR h.life_us <= h.short_us THEN FALSE
            WHEN h.ttl_us > h.short_us AND h.life_us > h.short_us THEN TRUE END AS is_static,
       CASE h.track WHEN 'human' THEN h.human_instead WHEN 'machine' THEN h.machine_instead END AS instead,
       -- overlap: every live credential but the newest has been succeeded
       h.live AND NOT h.ended AND coalesce(h.pairs, FALSE) AND CASE WHEN h.overlap_open THEN NULL ELSE h.overlap_us IS NOT NULL END
           AND CASE WHEN h.live_count > 1 THEN TRUE WHEN h.live_count + h.unclear_count > 1 THEN NULL ELSE FALSE END AS overlaps,
       CASE WHEN h.undated_count > 0 OR h.live_count + h.unclear_count < 2 THEN NULL
            WHEN h.uid = h.newest_uid THEN -h.overlap_us / 86400e6
            ELSE (epoch_us(h.as_of) - epoch_us(h.newest_at) - h.overlap_us) / 86400e6 END AS days_past_overlap,
       CASE WHEN h.unclear_count > 0 THEN 'whether another of its credentials is enabled and has not ended is not known'
            WHEN h.undated_count > 0 THEN 'when another of its credentials was created is not known' END AS overlap_why,
       -- use
       h.live AND coalesce(h.idles, FALSE) AND CASE WHEN h.track IS NULL THEN NULL ELSE h.max_idle_us IS NOT NULL END AS idles,
       CASE WHEN h.active_at IS NOT NULL
            -- what is replaced in place may have been set since its last use, where nobody says when it was
            THEN CASE WHEN h.seen_us > h.idle_from_us AND NOT (h.created_at IS NULL AND coalesce(h.succession = 'itself', FALSE))
                        OR epoch_us(h.as_of) <= h.idle_from_us THEN (h.seen_us - h.idle_from_us) / 86400e6 END
            WHEN epoch_us(h.as_of) - epoch_us(h.created_at) <= h.max_idle_us
            THEN (epoch_us(h.as_of) - epoch_us(h.created_at) - h.max_idle_us) / 86400e6 END AS days_past_idle,
       -- use after the end of its access, whether it is enabled or not
       CASE WHEN h.access_ended_at IS NOT NULL THEN TRUE WHEN h.partner_why IS NULL AND h.enabled IS NOT NULL THEN FALSE END AS has_end,
       CASE WHEN h.last_used_state = 'known' AND h.used_from_at > h.access_ended_at OR h.last_used_state IN ('known', 'never') AND h.seen_us >= epoch_us(h.access_ended_at)
            THEN coalesce((epoch_us(h.used_from_at) - epoch_us(h.access_ended_at)) / 86400e6, 0) END AS days_used_after_end,
       -- of what was used after it was taken away, that is what is told
       CASE WHEN h.is_taken THEN h.taken_at::DATE
            ELSE CASE h.access_ended_at WHEN h.off_at THEN h.off_at::DATE WHEN h.contract_ends_at THEN h.contract_ends_on WHEN h.workload_expires_at THEN h.workload_expires_on END
            END AS ended_on,
       CASE WHEN h.is_taken THEN 'revoked by plan ' || h.taken_by
            ELSE CASE h.access_ended_at WHEN h.off_at THEN 'switched off' WHEN h.contract_ends_at THEN 'contract of ' || h.partner
                 WHEN h.workload_expires_at THEN 'workload ' || h.workload END END AS ended_what
FROM (SELECT *, coalesce(taken_until < as_of AND (used_from_at > taken_until OR access_ended_at = taken_until), FALSE) AS is_taken FROM judged) h;
