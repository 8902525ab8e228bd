from criteo_audiences.meter import CallMeter


def test_calls_are_counted_for_the_whole_too() -> None:
    """A part's calls count for the part and for the whole."""
    whole = CallMeter()
    one, two = CallMeter(parent=whole), CallMeter(parent=whole)
    one.count_call()
    two.count_call()
    two.count_call()
    assert (one.calls, two.calls, whole.calls) == (1, 2, 3)


def test_waits_at_the_same_time_count_once() -> None:
    """Time in which several calls wait at once is counted once, and for the whole."""
    moment = [0.0]
    whole = CallMeter(now=lambda: moment[0])
    first, second = CallMeter(parent=whole).waiting(), CallMeter(parent=whole).waiting()
    first.__enter__()
    moment[0] = 10.0
    second.__enter__()
    moment[0] = 15.0
    first.__exit__(None, None, None)
    assert whole.waited() == 15.0
    moment[0] = 18.0
    second.__exit__(None, None, None)
    moment[0] = 100.0
    assert whole.waited() == 18.0


def test_what_the_quota_allows_is_known_to_the_whole() -> None:
    """What a call learns of the quota's window is known to its meter and to that of the whole."""
    whole = CallMeter()
    assert whole.window is None
    part = CallMeter(parent=whole)
    part.note_window((250, 60.0))
    assert (part.window, whole.window) == ((250, 60.0), (250, 60.0))
