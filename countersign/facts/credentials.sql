-- Facts of credentials: rotation, expiry, overlap, use.
WITH
-- Credentials with what their identity, kind and siblings say of them.
held AS (
    SELECT c.*, who.partner, who.partner_how, who.workload, who.owner, who.accountable, who.track, who.track_why, coalesce(c.name, who.name) AS identity_name,
           who.as_of, k.policy_kind,
           CASE c.last_used_state WHEN 'known' THEN greatest(c.last_used_at, c.created_at) WHEN 'never' THEN c.created_at END AS active_at,
           epoch_us(who.as_of) - CASE WHEN c.use_seen_to < who.as_of THEN greatest(epoch_us(c.observed_at) - epoch_us(c.use_seen_to), 0) ELSE 0 END AS seen_us,
           -- a place is nobody's, and what it holds lives all the same
           c.enabled AND who.enabled AND NOT (who.provider_managed AND who.kind NOT IN ('mount', 'account', 'project')) AS live,
           coalesce(c.expires_at <= who.as_of, FALSE) AS ended,    -- nobody gets in with it any more
           CASE WHEN who.uid IS NULL THEN 'its identity was not read' ELSE coalesce(c.unknown['enabled'],
                CASE WHEN c.enabled IS NULL THEN 'the source does not say whether it is enabled' END, who.enabled_why) END AS enabled_why,
           coalesce(l.rotate_us, lm.rotate_us) AS rotate_us, ip.max_idle_us, mp.overlap_us, ip.grace_us,
           coalesce(l.must_expire, lm.must_expire, FALSE) AS expiry_demanded,
           coalesce(k.idles, FALSE) AS idles, coalesce(k.pairs, FALSE) AS pairs, coalesce(k.ends_itself, FALSE) AS ends_itself
    FROM credentials c
    LEFT JOIN who ON who.uid = c.identity_uid
    LEFT JOIN kinds k ON k.provider = c.provider AND k.kind = c.kind
    LEFT JOIN register_limits l ON l.policy = coalesce(who.policy, 0) AND l.track = who.track AND l.policy_kind = k.policy_kind
    LEFT JOIN register_limits lm ON lm.policy = coalesce(who.policy, 0) AND lm.track = 'machine' AND lm.policy_kind = k.policy_kind
    LEFT JOIN register_policies ip ON ip.policy = coalesce(who.policy, 0) AND ip.track = who.track
    LEFT JOIN register_policies mp ON mp.policy = coalesce(who.policy, 0) AND mp.track = 'machine'
),
several AS (
    SELECT identity_uid, kind FROM held WHERE pairs AND live IS NOT FALSE AND NOT ended GROUP BY identity_uid, kind HAVING count(*) > 1
),
siblings AS (
    SELECT identity_uid, kind, count(*) FILTER (live) AS live_count, count(*) FILTER (live IS NULL) AS unclear_count,
           count(*) FILTER (live IS NOT FALSE AND created_at IS NULL) AS undated_count,
           max(created_at) FILTER (live) AS newest_at, arg_max(uid, (created_at, uid)) FILTER (live AND created_at IS NOT NULL) AS newest_uid
    FROM held SEMI JOIN several USING (identity_uid, kind) WHERE live IS NOT FALSE AND NOT ended GROUP BY identity_uid, kind
)
SELECT h.uid AS subject, 'credential' AS subject_kind, h.kind, h.provider, h.scope, h.identity_uid AS identity, h.identity_name,
       h.partner, h.partner_how, h.workload, h.owner, h.accountable, h.track, h.enabled, h.enabled_why, h.track_why,
       h.created_at, h.last_used_at, h.last_used_state, h.expires_at, h.observed_at,
       coalesce(h.unknown['created_at'], CASE WHEN h.created_at IS NULL THEN 'the source does not say when it was created' END) AS created_why,
       coalesce(h.unknown['last_used_at'], h.unknown['last_used_state'],
                CASE WHEN h.last_used_state = 'unknown' THEN 'the source does not say when it was last used'
                     WHEN h.seen_us < epoch_us(h.as_of) THEN 'whether it was used in the days since the report is not known' END) AS use_why,
       h.unknown['expires_at'] AS expiry_why,
       h.created_at::DATE AS created_on, h.active_at,
       CASE WHEN h.last_used_state = 'never' THEN 'never used; created ' WHEN h.last_used_at < h.created_at THEN 'not used since it was set '
            ELSE 'last used ' END || h.active_at::DATE AS activity,
       h.expires_at::DATE AS expires_on,
       (epoch_us(h.as_of) - epoch_us(h.created_at)) // 86400000000 AS age_days,
       (epoch_us(h.as_of) - epoch_us(h.active_at)) // 86400000000 AS idle_days,
       (epoch_us(h.as_of) - epoch_us(h.expires_at)) // 86400000000 AS expired_days,
       h.rotate_us // 86400000000 AS rotation_limit_days, h.max_idle_us // 86400000000 AS idle_limit_days,
       h.overlap_us // 86400000000 AS overlap_limit_days, s.newest_at::DATE AS successor_on, s.newest_uid AS successor,
       (epoch_us(h.as_of) - epoch_us(s.newest_at)) // 86400000000 AS overlap_days,
       -- rotation
       h.live AND h.rotate_us IS NOT NULL AS rotates,
       (epoch_us(h.as_of) - epoch_us(h.created_at) - h.rotate_us) / 86400e6 AS days_past_rotation,
       -- expiry
       h.live AND h.expiry_demanded AS must_expire,
       CASE WHEN h.expires_at IS NOT NULL THEN TRUE WHEN h.unknown['expires_at'] IS NULL THEN FALSE END AS has_expiry,
       h.live AND NOT h.ends_itself AND (h.expires_at IS NOT NULL OR CASE WHEN h.unknown['expires_at'] IS NOT NULL THEN NULL ELSE FALSE END) AS expires,
       (epoch_us(h.as_of) - epoch_us(h.expires_at)) / 86400e6 AS days_past_expiry,
       -- overlap: every live credential but the newest has been succeeded
       h.live AND NOT h.ended AND h.pairs AND h.overlap_us IS NOT NULL AND CASE WHEN s.live_count > 1 THEN TRUE WHEN s.unclear_count > 0 THEN NULL ELSE FALSE END AS overlaps,
       CASE WHEN s.undated_count > 0 THEN NULL
            WHEN h.uid = s.newest_uid THEN -h.overlap_us / 86400e6
            ELSE (epoch_us(h.as_of) - epoch_us(s.newest_at) - h.overlap_us) / 86400e6 END AS days_past_overlap,
       -- use
       h.live AND h.idles AND CASE WHEN h.track IS NULL THEN NULL ELSE h.max_idle_us IS NOT NULL END AS idles,
       CASE WHEN h.active_at IS NOT NULL
            THEN CASE WHEN h.seen_us > h.idle_from_us OR epoch_us(h.as_of) <= h.idle_from_us THEN (h.seen_us - h.idle_from_us) / 86400e6 END
            WHEN epoch_us(h.as_of) - epoch_us(h.created_at) <= h.max_idle_us
            THEN (epoch_us(h.as_of) - epoch_us(h.created_at) - h.max_idle_us) / 86400e6 END AS days_past_idle
FROM (SELECT *, epoch_us(active_at) + max_idle_us + grace_us AS idle_from_us FROM held) h
LEFT JOIN siblings s ON s.identity_uid = h.identity_uid AND s.kind = h.kind;
