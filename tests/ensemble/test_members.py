"""Members: their outputs together and alone, and what is saved of them."""

import json
from dataclasses import replace

import numpy as np
import pytest
import skops.io
from conftest import plain_schema
from pydantic import TypeAdapter

from ensemble_pipe.core.arrays import Floats
from ensemble_pipe.ensemble.members import (
    BoostedMember,
    DropoutPass,
    EstimatorMember,
    ExternalMember,
    Member,
    NetworkMember,
    SharedPart,
    member_outputs,
)
from ensemble_pipe.ensemble.members.kinds import AnyMemberRecord
from ensemble_pipe.ensemble.members.member import MemberRecord, SavedFiles
from ensemble_pipe.nn.building import build
from ensemble_pipe.nn.inference import outputs_of
from ensemble_pipe.nn.losses import BinaryCrossEntropy, CrossEntropy, Hinge, Loss
from ensemble_pipe.nn.networks import Mlp
from ensemble_pipe.nn.sharing import Form, Sharing

ROWS = 40
CROSS_ENTROPY = CrossEntropy()
NARROW, WIDE = Mlp(hidden=(5,)), Mlp(hidden=(9, 3), activation="tanh")
SCHEMA = plain_schema("classification", (4,), ("x", "y", "z"))
INPUTS = np.random.default_rng(0).standard_normal((ROWS, 4)).astype(np.float32)


def read(start: int, stop: int, out: Floats) -> None:
    out[:] = INPUTS[start:stop]


def member(learner: int, network: Mlp = NARROW, loss: Loss = CROSS_ENTROPY) -> NetworkMember:
    row = build(network, loss, SCHEMA).initialize(1, learner)
    return NetworkMember(learner, 0, 100, network, loss, row)


def test_outputs_of_members_of_one_architecture_are_those_of_each_alone() -> None:
    members = [member(0), member(1), member(2)]
    together = member_outputs(members, SCHEMA, [read], ROWS)
    assert together.shape == (3, ROWS, 3)
    for one, outputs in zip(members, together, strict=True):
        assert member_outputs([one], SCHEMA, [read], ROWS)[0].tobytes() == outputs.tobytes()


def test_architectures_may_be_mixed_in_any_order() -> None:
    members = [member(0), member(1, WIDE), member(2), member(3), member(4, WIDE)]
    together = member_outputs(members, SCHEMA, [read], ROWS)
    for one, outputs in zip(members, together, strict=True):
        assert member_outputs([one], SCHEMA, [read], ROWS)[0].tobytes() == outputs.tobytes()


def test_outputs_are_what_each_members_loss_makes_of_them() -> None:
    losses: list[Loss] = [CROSS_ENTROPY, Hinge(), CrossEntropy(smoothing=0.5)]
    members = [member(learner, loss=loss) for learner, loss in enumerate(losses)]
    together = member_outputs(members, SCHEMA, [read], ROWS)
    for one, outputs in zip(members, together, strict=True):
        network = build(one.network, one.loss, SCHEMA)
        own = outputs_of(network, one.row[None], read, ROWS)
        assert outputs.tobytes() == one.loss.predictions(own[0]).tobytes()


def test_a_member_with_one_output_gives_logits_of_both_classes() -> None:
    schema = replace(SCHEMA, classes=("no", "yes"))
    loss = BinaryCrossEntropy()
    row = build(NARROW, loss, schema).initialize(1, 0)
    (outputs,) = member_outputs([NetworkMember(0, 0, 1, NARROW, loss, row)], schema, [read], ROWS)
    assert outputs.shape == (ROWS, 2)
    assert (outputs[:, 0] == 0).all()


def test_outputs_stand_in_the_order_of_the_members() -> None:
    members = [member(0), member(1, WIDE), member(2)]
    forward = member_outputs(members, SCHEMA, [read], ROWS)
    backward = member_outputs(members[::-1], SCHEMA, [read], ROWS)
    assert forward.tobytes() == backward[::-1].tobytes()


def shared_members(form: Form = "full") -> list[NetworkMember]:
    sharing = Sharing(members=4, form=form)
    row = build(NARROW, CROSS_ENTROPY, SCHEMA, sharing).initialize(1, 7)
    parts = [SharedPart(sharing, k) for k in range(4)]
    return [
        NetworkMember(7, k, 100, NARROW, CROSS_ENTROPY, row, part=part)
        for k, part in enumerate(parts)
    ]


@pytest.mark.parametrize("form", ["full", "mini", "packed"])
def test_members_that_share_weights_predict_alike_alone_and_together(form: Form) -> None:
    members = [member(0), *shared_members(form), member(8)]
    together = member_outputs(members, SCHEMA, [read], ROWS)
    assert len({outputs.tobytes() for outputs in together}) == 6
    for one, outputs in zip(members, together, strict=True):
        assert member_outputs([one], SCHEMA, [read], ROWS)[0].tobytes() == outputs.tobytes()
    some = [members[3], members[1]]
    found = member_outputs(some, SCHEMA, [read], ROWS)
    assert found.tobytes() == together[[3, 1]].tobytes()


def test_members_that_share_weights_are_saved_once_and_come_back() -> None:
    members = shared_members()
    tensors = {name: own for one in members for name, own in one.tensors().items()}
    assert len(tensors) == 1
    adapter: TypeAdapter[MemberRecord] = TypeAdapter(AnyMemberRecord)
    for one in members:
        record = adapter.validate_python(json.loads(json.dumps(one.to_dict())))
        again = record.member(SCHEMA, SavedFiles(tensors, {}))
        expected, found = (member_outputs([m], SCHEMA, [read], ROWS) for m in (one, again))
        assert found.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ({"sharing": {"members": 4, "form": "full"}, "member": 4}, "is member 4 of 4, from 0 on"),
        ({"sharing": {"members": 3, "form": "full"}, "member": 0}, "its network needs float32"),
        (None, "its network needs float32"),
    ],
)
def test_a_part_that_does_not_fit_is_refused(part: object, message: str) -> None:
    one = shared_members()[0]
    saved = {**one.to_dict(), "part": part}
    adapter: TypeAdapter[MemberRecord] = TypeAdapter(AnyMemberRecord)
    with pytest.raises(ValueError, match=message):
        adapter.validate_python(saved).member(SCHEMA, SavedFiles(one.tensors(), {}))


def test_a_member_of_an_earlier_version_has_no_part() -> None:
    one = member(0)
    saved = one.to_dict()
    assert saved.pop("part") is None
    adapter: TypeAdapter[MemberRecord] = TypeAdapter(AnyMemberRecord)
    again = adapter.validate_python(saved).member(SCHEMA, SavedFiles(one.tensors(), {}))
    assert isinstance(again, NetworkMember)
    assert again.part is None


def test_a_linear_estimator_predicts_a_row_alike_at_any_position() -> None:
    from sklearn.linear_model import LogisticRegression

    schema = plain_schema("classification", (64,), tuple("abcdefghijklmnopqrst"))
    rows = np.random.default_rng(1).standard_normal((200, 64)).astype(np.float32)
    fitted = LogisticRegression().fit(rows, np.arange(200) % 20)
    kept = EstimatorMember(0, 0, 0, "linear", skops.io.dumps(fitted))

    def outputs_for(table: Floats) -> Floats:
        def read(start: int, stop: int, out: Floats) -> None:
            out[:] = table[start:stop]

        return member_outputs([kept], schema, [read], len(table))

    assert outputs_for(rows[::-1]).tobytes() == outputs_for(rows)[:, ::-1].tobytes()


def save_and_read(kept: Member) -> Member:
    """Return the member that model.json, tensors and files make again."""
    adapter: TypeAdapter[MemberRecord] = TypeAdapter(AnyMemberRecord)
    record = adapter.validate_json(json.dumps(kept.to_dict()))
    return record.member(SCHEMA, SavedFiles(kept.tensors(), kept.files()))


CHAIN = np.stack([build(NARROW, CROSS_ENTROPY, SCHEMA).initialize(1, n) for n in range(2)])
KINDS: dict[str, Member] = {
    "network": replace(member(2), mask=np.array([1, 0, 1, 1], np.float32)),
    "pass of dropout": replace(member(2), number=3, dropout=DropoutPass(seed=5, number=3)),
    "boosted": BoostedMember(1, 0, 40, NARROW, CROSS_ENTROPY, CHAIN, (0.5, 0.25)),
    "external": ExternalMember(4, 0, 0, "other"),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_member_of_any_kind_is_made_again_from_what_is_saved_of_it(kind: str) -> None:
    kept = KINDS[kind]
    again, external = save_and_read(kept), {"other": np.ones((ROWS, 3), np.float32)}
    assert (type(again), again.kind, again.to_dict()) == (type(kept), kept.kind, kept.to_dict())
    outputs = [member_outputs([one], SCHEMA, [read], ROWS, external) for one in (kept, again)]
    assert outputs[0].tobytes() == outputs[1].tobytes()


def test_each_kind_of_member_has_a_name_of_its_own_in_json() -> None:
    names = [one.to_dict()["kind"] for one in KINDS.values()]
    assert names == ["network", "network", "boosted", "given"]
