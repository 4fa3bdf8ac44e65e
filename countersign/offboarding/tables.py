"""The tables of plans in the state database, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import sqlalchemy as sa

from countersign.schema import Utc

metadata = sa.MetaData()
plans = sa.Table(
    "plans",
    metadata,
    sa.Column("plan", sa.Text, primary_key=True),
    sa.Column("digest", sa.Text, nullable=False),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("question", sa.Text, nullable=False, comment="what was asked, as JSON: a newer plan of the same takes its place"),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("made_at", Utc, nullable=False),
    sa.Column("superseded_by", sa.Text),
)
plan_runs = sa.Table(
    "plan_runs",
    metadata,
    sa.Column("run", sa.Text, primary_key=True),
    sa.Column("plan", sa.Text, sa.ForeignKey(plans.c.plan), nullable=False),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("began_at", Utc, nullable=False),
    sa.Column("ended_at", Utc),
    sa.Column("state", sa.Text),
    sa.Column("approvers", sa.Text, nullable=False),
    sa.Column("approved_at", Utc),
    sa.Column("broken_glass", sa.Text),
    sa.Column("sequence", sa.Integer),
    sa.Column("statement_digest", sa.Text),
    sa.UniqueConstraint("plan", "number"),
)
plan_steps = sa.Table(
    "plan_steps",
    metadata,
    sa.Column("plan", sa.Text, sa.ForeignKey(plans.c.plan), primary_key=True),
    sa.Column("step", sa.Text, primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("takes", sa.Text, nullable=False, comment="the partner's own identities and credentials that it ends, as JSON"),
    sa.Column("lasts_s", sa.Integer, comment="for how many seconds something may go on after it; null: not known, or nothing does"),
    sa.Column("state", sa.Text, nullable=False),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("pre_image", sa.Text),
    sa.Column("seen", sa.Text),
    sa.Column("intended_at", Utc),
    sa.Column("written_at", Utc),
    sa.Column("verified_at", Utc),
    sa.Column("reader", sa.Text),
    sa.Column("writer", sa.Text),
    sa.Column("why", sa.Text),
    sa.Column("undone_by", sa.Text),
    sa.Column("refused", sa.Boolean, nullable=False, default=False),
)
plan_answers = sa.Table(
    "plan_answers",
    metadata,
    sa.Column("plan", sa.Text, sa.ForeignKey(plans.c.plan), primary_key=True),
    sa.Column("looked_at", Utc, nullable=False, comment="when somebody last looked whether it is decided"),
    sa.Column("answer", sa.Text, comment="`given` or `declined`; null: nobody has decided"),
    sa.Column("answered_at", Utc),
)
approvals_used = sa.Table(
    "approvals_used",
    metadata,
    sa.Column("digest", sa.Text, primary_key=True),
    sa.Column("plan", sa.Text, sa.ForeignKey(plans.c.plan), nullable=False),
    sa.Column("approver", sa.Text),
    sa.Column("used_at", Utc, nullable=False),
)
approvals_owed = sa.Table(
    "approvals_owed",
    metadata,
    sa.Column("plan", sa.Text, sa.ForeignKey(plans.c.plan), primary_key=True),
    sa.Column("partner", sa.Text, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("taken_at", Utc, nullable=False),
    sa.Column("owed_until", Utc, nullable=False),
    sa.Column("settled_at", Utc),
    sa.Column("settled_by", sa.Text),
)
