"""Tables of a page: words stay whole where there is room, and names are divided at their joints."""

from ensemble_pipe.report.page import Html, table

ADULT = ("row", "predicted", "probability", "education_num", "hours_per_week", "age")


def test_words_are_whole_where_a_wide_screen_has_room_for_them() -> None:
    assert '<table class="some whole">' in table(ADULT, [["2036"] * 6])
    assert '<table class="some">' in table(ADULT, [["x" * 40] * 6])
    assert '<table class="few whole">' in table(("name", "value"), [("a" * 40, 1.0)])


def test_words_are_whole_on_a_narrow_screen_too_where_it_has_room_for_them() -> None:
    columns = [("marital_status", "category", "one-hot: 7 categories"), ("age", "number", "scaled")]
    assert '<table class="few whole slim">' in table(("column", "kind", "what"), columns)
    assert '<table class="few whole slim">' in table(("name", "value"), [])


def test_names_are_divided_after_dots_and_underscores_alone() -> None:
    made = table((*ADULT, "optimizer.learning_rate", "<a_b>"), [["0.5"] * 8])
    assert ">education_<wbr>num</th>" in made
    assert ">optimizer.<wbr>learning_<wbr>rate</th>" in made
    assert ">&lt;a_<wbr>b&gt;</th>" in made
    assert 'data-label="education_num"' in made
    assert ">0.5</td>" in made


def test_markup_of_a_head_is_not_divided() -> None:
    made = table((Html('<abbr title="a_b">a</abbr>'), "c_d"), [(1, 2)])
    assert '<abbr title="a_b">a</abbr>' in made
    assert "c_<wbr>d" in made
