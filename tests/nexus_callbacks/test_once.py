from concurrent.futures import ThreadPoolExecutor

from nexus_callbacks.once import MOST, Once


def test_a_message_is_new_one_time():
    once = Once()
    assert [once.first(text) for text in ("a", "b", "a", "b", "c")] == [True, True, False, False, True]


def test_of_very_many_messages_the_latest_are_remembered():
    once = Once()
    for number in range(2 * MOST):
        assert once.first(str(number))
    assert not once.first(str(2 * MOST - 1))
    assert once.first("0")


def test_of_several_threads_one_tells():
    once = Once()
    with ThreadPoolExecutor(8) as threads:
        told = list(threads.map(once.first, [str(number % 10) for number in range(800)]))
    assert sum(told) == 10
