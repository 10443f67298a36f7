"""Words that are used no longer, each for the field's own: nothing is called by them again."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("alchemyst", "chats", "personas", "proxy")

# Of modules, classes, functions, methods, fields and constants.
RETIRED = {
    name: new
    for new, names in {
        "notify, publish, Subscription, RedisBridge": "bell ring Listener hear Wire poll_seconds",
        "broadcast, BroadcastEvent, poll": "news News catch_up",
        "changes, ChatChanges, changes_since": "news_of",
        "EventLog, LogEvent, LogUnavailable, is_dirty": "Log Entry LogLost has_news _insisted",
        "HistoryMessage, AnswerOptions, StartedAnswer": "Said Manner Begun manner manner_of",
        "regenerate, continue_answer": "ask_again carry_on _one_at_a_time _give_persona",
        "ContextText, SelectedText, SpeechFilter": "Choice Spoken RESTING GOING_ON side_question",
        "purge, move_to_trash, expired_trash, stale": "vanish throw_away past_the_trash left_lying",
        "iterate_chats, iterate_messages": "each_chat each_message",
        "MessageWindow, SearchMatch, Alternatives": "Window Match Standing add_matches",
        "path_filter, segments, transfer_to": "stretches give_to _other_way",
        "ChatFingerprint, fingerprint_of, MessageView": "Look look_at Shown",
        "_authenticate, _auth_timeout": "_let_in _introduced _lose_patience _tell_fault",
        "CompletionRequest, StoredProvider": "Asked Stored source_of",
        "StreamEvent, parse_openai_event": "Piece of_openai of_gemini",
        "error_message, retry_after, error_for": "words_of pause_of",
        "FilterOptions, FilterResult": "Wish Context Safely",
        "PendingDecision, start_filtering": "Pending weighed",
        "CostGateConfig, CostAssessment": "Gate Gated Judged judged _beside_the_answer",
        "ConversationState, _Store": "Page _Shelf notebook LEFT_ALONE PATIENCE",
        "CacheEstimate, is_unreliable": "Belief beliefs has_shown may_have_shown is_alarmed",
        "InspectorView": "Given given_of",
        "CallFinished, DecisionEntry, queue": "Noted",
        "CapturedConversation, register_sink": "Conversed conversed keep_by",
        "BatchWriter": "Batches",
        "CallDeadline, ClientDisconnected": "Watch ClientGone forgive is_late",
        "ProtocolError, READ_HIGH_WATER": "Broken MOST_HELD MOST_BESIDE",
        "RelayState, mask_key": "Relayed masking",
        "allowlists, AllowList": "permits Permitted",
        "ConcurrencyLimit, QuotaReservation": "Slots Allowance",
        "BudgetIndex, none_exist": "Who are_none",
        "request_headers, response_headers": "upward downward own_headers",
        "cost_gate_for": "gate_for wishes",
        "run_in_thread_if_large, run_periodically": "beside repeat",
        "is_anaphoric, is_continuation": "points_back goes_on",
        "LENGTH_PENALTY, MIN_SAVING": "THRIFT WORTH",
        "MessageSet, Candidate, PrefixSums": "Places Draft Sums upto",
        "savings_balance, with_feedback": "taught",
        "QuotaLimit, Acquire, Release": "Cap Want Gift give_back agive_back askable",
        "ConcurrencyLease, renew_leases": "Stay renew_stays",
        "MemoryStore, RedisStore": "Local InProcess InRedis InDatabase",
        "user_of, rotate, issue, TokenPair": "holder_of rotated issued_to Pair",
        "for_secret, PASSIVE_FIELDS": "opened_by NOTES _is_a_note",
        "SocketIdentityMiddleware, OriginCheck": "Identified FromOwnPages",
        "ErrorMiddleware, BodyLimitMiddleware": "Answered Sized",
        "RequestIdMiddleware, with_thread_pool": "MaskedPaths on_lent_threads LENT_THREADS",
        "InProcessRunner, in_process_runner": "Here here",
        "patch_daphne, set_filter_switch": "mend_daphne turn_filter",
        "api_error, to_api_error, ApiError": "fault fault_of ProxyError",
        "django_app, chat_answers, chat_reads": "elsewhere an_answer a_look",
        "a noun: what was found, asked, said or told": "found told asked said",
    }.items()
    for name in names.split()
}
# Of variables: participles are no nouns.
NO_NOUNS = {"found", "told", "asked", "said"}


def sources() -> Iterator[Path]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts:
                yield path


def definitions(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield what a module defines, with its line: at its top, in classes, as attributes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.lineno, node.name
        if isinstance(node, ast.Module | ast.ClassDef):
            for statement in node.body:
                for target in _targets(statement):
                    yield statement.lineno, target
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.attr


def variables(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield parameters and variables, with their lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node.lineno, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.lineno, node.id


def _targets(statement: ast.stmt) -> list[str]:
    if isinstance(statement, ast.AnnAssign):
        return [statement.target.id] if isinstance(statement.target, ast.Name) else []
    if isinstance(statement, ast.Assign):
        return [target.id for target in statement.targets if isinstance(target, ast.Name)]
    return []


def test_no_module_has_a_retired_name():
    left = [path.relative_to(ROOT) for path in sources() if path.stem in RETIRED]

    assert not left


def test_nothing_is_called_by_a_retired_name():
    left = [
        f"{path.relative_to(ROOT)}:{line} {name}: now {RETIRED[name]}"
        for path in sources()
        for line, name in definitions(ast.parse(path.read_text()))
        if name in RETIRED
    ]

    assert not left, "\n".join(left)


def test_no_variable_is_named_by_a_participle():
    left = [
        f"{path.relative_to(ROOT)}:{line} {name}"
        for path in sources()
        for line, name in variables(ast.parse(path.read_text()))
        if name in NO_NOUNS
    ]

    assert not left, "\n".join(left)
