"""Owns the bugs: a small change that brings each pitfall of docs/fidelity.md back, and the test that sees it."""

from typing import NamedTuple


class Bug(NamedTuple):
    """`healthy` stands exactly once in `file`; with `sick` in its place, `test` must fail."""

    pitfall: int
    file: str
    healthy: str
    sick: str
    test: str


TRANSLATION = "messages_api/services/translation"
BUDGETS = "usage/tests/test_hard_budgets_reserve_before_and_settle_after.py"
TESTS = "messages_api/tests"

BUGS: tuple[Bug, ...] = (
    Bug(
        1,
        f"{TRANSLATION}/stream.py",
        "            block.call.add(piece.text)\n",
        "            block.call.add(piece.text)\n            return\n",
        f"{TESTS}/test_tool_calls_arrive_whole.py::test_fragments_leave_as_they_come",
    ),
    Bug(
        2,
        f"{TRANSLATION}/pieces.py",
        "    for text in (text_of_content(said.content), said.refusal):\n        if text:",
        "    for text in (text_of_content(said.content), said.refusal):\n        if text and said.tool_calls is None:",
        f"{TESTS}/test_tool_calls_arrive_whole.py::test_empty_lists_beside_text_do_not_cost_the_text",
    ),
    Bug(
        3,
        f"{TRANSLATION}/stream.py",
        "events.append(out.ContentBlockDelta(self._next_index - 1, delta))",
        "events.append(out.ContentBlockDelta(self._next_index, delta))",
        f"{TESTS}/test_streams_obey_one_grammar.py"
        "::test_every_stream_is_well_formed_and_says_exactly_what_the_upstream_said",
    ),
    Bug(
        4,
        f"{TRANSLATION}/stream.py",
        "usage = out.Usage(input_tokens=self._input_tokens, output_tokens=0)",
        "usage = out.Usage(input_tokens=0, output_tokens=0)",
        f"{TESTS}/test_token_estimate_costs_next_to_nothing.py"
        "::test_message_start_tells_the_estimate_and_message_delta_the_truth",
    ),
    Bug(
        5,
        f"{TRANSLATION}/pieces.py",
        'return Piece(("thinking", (detail["type"], detail.get("index"))), text_of(detail), detail=detail)',
        "return Piece(TEXT, text_of(detail))",
        f"{TESTS}/test_reasoning_makes_the_round_trip.py::test_thinking_never_goes_into_a_block_of_text",
    ),
    Bug(
        5,
        f"{TRANSLATION}/reasoning.py",
        "plain = delta.reasoning or delta.reasoning_content or thoughts_of_content(delta.content)",
        "plain = delta.reasoning",
        f"{TESTS}/test_reasoning_makes_the_round_trip.py::test_plain_reasoning_is_thinking_and_goes_back",
    ),
    Bug(
        6,
        f"{TRANSLATION}/stream.py",
        "self.usage = chunk.usage or self.usage",
        "self.usage = chunk.usage if chunk.choices and chunk.usage else self.usage",
        f"{TESTS}/test_usage_is_the_upstreams.py::test_usage_counts_before_with_and_after_the_end",
    ),
    Bug(
        7,
        f"{TRANSLATION}/conversation.py",
        "if draft.facts.family in SYSTEM_ANYWHERE:",
        "if draft.facts.family:",
        f"{TESTS}/test_golden_translations.py::test_the_request_becomes_the_chat_body",
    ),
    Bug(
        8,
        f"{TRANSLATION}/pieces.py",
        "return index is None or call.index is None or index == call.index",
        "return True",
        f"{TESTS}/test_tool_calls_arrive_whole.py"
        "::test_calls_whose_fragments_are_mixed_are_two_blocks_one_after_the_other",
    ),
    Bug(
        8,
        f"{TRANSLATION}/pieces.py",
        "if name and call.is_whole():",
        "if False:",
        f"{TESTS}/test_tool_calls_arrive_whole.py"
        "::test_two_calls_of_one_tool_are_two_where_nothing_but_its_name_says_so",
    ),
    Bug(
        9,
        f"{TRANSLATION}/stream.py",
        "if is_blank and call.name not in self._tools.needing_arguments:",
        "if is_blank:",
        f"{TESTS}/test_tool_calls_arrive_whole.py"
        "::test_no_arguments_are_an_empty_object_only_for_a_tool_that_requires_none",
    ),
    Bug(
        10,
        f"{TRANSLATION}/stream.py",
        "elif piece.call is not None and not piece.call.name:",
        "elif piece.call is not None and not piece.call.id:",
        f"{TESTS}/test_tool_calls_arrive_whole.py::test_a_name_that_comes_later_than_the_arguments_is_waited_for",
    ),
    Bug(
        11,
        f"{TRANSLATION}/names.py",
        'return tool_id if _LEGAL.fullmatch(tool_id) else f"call_{_hash(tool_id)}"',
        "return tool_id",
        f"{TESTS}/test_tool_calls_arrive_whole.py::test_an_id_that_the_client_refuses_is_renamed_and_others_are_not",
    ),
    Bug(
        11,
        f"{TRANSLATION}/tools.py",
        "return self.original_names.get(name, name)",
        "return name",
        f"{TESTS}/test_tool_calls_and_results_keep_together.py::test_a_name_that_was_changed_is_changed_back",
    ),
    Bug(
        12,
        f"{TRANSLATION}/conversation.py",
        "                chat += results\n",
        "                chat += said + results\n                said = []\n",
        f"{TESTS}/test_tool_calls_and_results_keep_together.py::test_what_the_user_adds_to_a_result_comes_behind_it",
    ),
    Bug(
        13,
        f"{TRANSLATION}/relay_request.py",
        "**{name: raw for name, raw in came.items() if name in RELAYED},",
        "**{name: msgspec.json.decode(raw) for name, raw in came.items() if name in RELAYED},",
        f"{TESTS}/test_relayed_requests_keep_their_bytes.py::test_messages_and_tools_are_not_encoded_anew",
    ),
    Bug(
        14,
        f"{TRANSLATION}/reasoning.py",
        "if origin == family and not _is_copy",
        "if origin and not _is_copy",
        f"{TESTS}/test_golden_translations.py::test_reasoning_of_another_family_is_left_out",
    ),
    Bug(
        14,
        f"{TRANSLATION}/tool_loop.py",
        "(place == 0 or not step.is_claudes)",
        "False",
        f"{TESTS}/test_a_conversation_may_change_models_anywhere.py::test_no_model_refuses_to_go_on",
    ),
    Bug(
        15,
        f"{TRANSLATION}/reasoning.py",
        "            if not seal:\n",
        "            if not seal or not text:\n",
        f"{TESTS}/test_reasoning_comes_back_whole.py::test_a_signature_without_text_is_kept",
    ),
    Bug(
        16,
        f"{TRANSLATION}/reasoning.py",
        "thoughts = [block for block in blocks if isinstance(block, ThinkingBlock | RedactedThinkingBlock)]",
        "thoughts = [block for block in blocks if isinstance(block, ThinkingBlock)]",
        f"{TESTS}/test_reasoning_makes_the_round_trip.py::test_summaries_and_what_is_encrypted_go_back_in_order",
    ),
    Bug(
        17,
        f"{TRANSLATION}/effort.py",
        "if not effort and not max_effort:\n            return",
        'if not effort and not max_effort:\n            raise InvalidRequest("thinking")\n            return',
        f"{TESTS}/test_thinking_is_asked_for_as_the_model_takes_it.py"
        "::test_adaptive_thinking_is_never_refused_nor_more_than_fits",
    ),
    Bug(
        18,
        f"{TRANSLATION}/tool_schema.py",
        "throughout = _THROUGHOUT.get(family)",
        'throughout = _THROUGHOUT.get(family) if family != "google" else None',
        f"{TESTS}/test_tool_schemas_are_acceptable_to_each_family.py::test_google_gets_only_what_its_schema_type_has",
    ),
    Bug(
        19,
        f"{TRANSLATION}/reasoning.py",
        'kept = [detail for detail in details if detail["type"] not in {PLAIN, RELAYED_THOUGHT, RELAYED_REDACTED}]',
        "kept = [detail for detail in details if text_of(detail)]",
        f"{TESTS}/test_reasoning_makes_the_round_trip.py::test_geminis_signatures_stay_with_their_calls",
    ),
    Bug(
        20,
        "messages_api/urls.py",
        '    path("v1/messages/count_tokens", views.CountTokensView.as_view()),\n',
        "",
        f"{TESTS}/test_token_counts_are_answered_for_everyone.py"
        "::test_every_name_has_a_count_whichever_way_its_requests_go",
    ),
    Bug(
        21,
        "messages_api/services/token_count.py",
        'tools = bytes(envelope.fields.get("tools", b""))',
        'tools = b""',
        f"{TESTS}/test_token_count_is_high_rather_than_low.py"
        "::test_a_request_of_claude_codes_size_is_counted_within_a_few_percent_for_openai",
    ),
    Bug(
        22,
        "messages_api/views.py",
        '        return {"input_tokens": counted}',
        "        (await running_gateway()).token_factors.learn(target, counted, 1)\n"
        '        return {"input_tokens": counted}',
        f"{TESTS}/test_token_counts_are_answered_for_everyone.py"
        "::test_nothing_comes_of_a_count_nor_of_one_that_is_refused",
    ),
    Bug(
        23,
        "messages_api/services/token_count.py",
        "    return await asyncio.get_running_loop()",
        "    if _pool._work_queue.qsize() > 20:\n"
        "        from messages_api.errors import RateLimited\n\n"
        '        raise RateLimited("Too many counts at once.")\n'
        "    return await asyncio.get_running_loop()",
        f"{TESTS}/test_token_counts_are_answered_for_everyone.py"
        "::test_fifty_counts_at_once_are_all_answered_two_at_a_time",
    ),
    Bug(
        24,
        f"{TRANSLATION}/cache_marks.py",
        'return {"type": "ephemeral", "ttl": mark.ttl} if mark.ttl and family in CACHE_TTL else {"type": "ephemeral"}',
        'return {"type": "ephemeral"}',
        f"{TESTS}/test_cache_breakpoints_are_kept.py::test_a_tools_mark_is_kept_with_its_hour",
    ),
    Bug(
        24,
        f"{TRANSLATION}/usage.py",
        "read = _count(prompt.cached_tokens)",
        "read = 0",
        f"{TESTS}/test_usage_is_the_upstreams.py::test_an_answer_that_is_not_streamed_counts_the_same",
    ),
    Bug(
        25,
        f"{TRANSLATION}/conversation.py",
        'if draft.facts.family != "anthropic":',
        'if draft.facts.family == "":',
        f"{TESTS}/test_cache_breakpoints_are_kept.py"
        "::test_claude_codes_line_about_itself_does_not_reach_other_models_caches",
    ),
    Bug(
        26,
        "messages_api/services/upstream/http.py",
        "        else:\n            self._response.close()",
        "        else:\n            pass",
        f"{TESTS}/test_relayed_attempts_at_real_servers.py::test_leaving_closes_the_connection_within_a_second",
    ),
    Bug(
        27,
        "bridge_project/lane.py",
        "            task.cancel()\n            return\n",
        "            return\n",
        "tests/test_every_request_is_settled.py::test_a_client_that_leaves_closes_the_upstream_and_is_settled",
    ),
    Bug(
        28,
        f"{TRANSLATION}/stream.py",
        "self._grow(reasoning.size_of(piece.detail) if piece.detail else len(piece.text))",
        "self._grow(0)",
        f"{TESTS}/test_usage_is_the_upstreams.py::test_of_a_broken_answer_is_known_what_was_said_of_it",
    ),
    Bug(
        28,
        f"{TRANSLATION}/relay_stream.py",
        "            self._passed += size\n",
        "            self._passed += 0\n",
        f"{TESTS}/test_relayed_attempts_at_real_servers.py"
        "::test_a_stream_that_is_left_is_noted_with_an_estimate_of_what_it_said",
    ),
    Bug(
        29,
        f"{TRANSLATION}/conversation.py",
        'moved += [_plain(f"[From the result of the tool call {call_id}:]"), part]',
        "texts.append(str(part))",
        f"{TESTS}/test_tool_calls_and_results_keep_together.py::test_an_image_in_a_result_is_seen_and_not_read_as_text",
    ),
    Bug(
        30,
        f"{TRANSLATION}/request.py",
        "for limit in (asked, facts.max_output, terms.max_output) if",
        "for limit in (asked, terms.max_output) if",
        f"{TESTS}/test_golden_translations.py::test_the_request_becomes_the_chat_body",
    ),
    Bug(
        31,
        f"{TRANSLATION}/effort.py",
        "not LEAST_BUDGET <= thinking.budget_tokens < max_tokens:",
        "thinking.budget_tokens >= max_tokens:",
        f"{TESTS}/test_thinking_is_asked_for_as_the_model_takes_it.py"
        "::test_a_budget_that_anthropic_refuses_is_refused_whatever_the_model",
    ),
    Bug(
        32,
        "usage/pricing.py",
        "+ tokens.cache_read * cache_read",
        "+ tokens.cache_read * prices.input",
        "usage/tests/test_money_is_exact.py::test_each_kind_of_token_has_its_price",
    ),
    Bug(
        33,
        "messages_api/services/stream.py",
        "self._ping = asyncio.create_task(self._send(PING))",
        "pass",
        f"{TESTS}/test_an_answer_on_its_way.py::test_silence_is_bridged_by_pings_of_our_own",
    ),
    Bug(
        34,
        "messages_api/services/stream.py",
        "if now - self._last_content > settings.CONTENT_SECONDS:",
        "if now - self._last_write > settings.CONTENT_SECONDS:",
        f"{TESTS}/test_an_answer_on_its_way.py::test_an_answer_without_content_is_given_up_although_its_upstream_lives",
    ),
    Bug(
        35,
        "messages_api/services/stream.py",
        "await write(encode_error(as_api_error(error), self._settlement.entry.request_id))",
        """await write(b'event: message_stop\\ndata: {"type":"message_stop"}\\n\\n')""",
        f"{TESTS}/test_an_answer_on_its_way.py::test_after_its_first_word_a_broken_answer_ends_in_an_error",
    ),
    Bug(
        35,
        f"{TRANSLATION}/stop_reason.py",
        '            raise AnswerError("The upstream ended its answer before it was complete.")',
        '            self._finish_reason = "stop"',
        f"{TESTS}/test_streams_obey_one_grammar.py"
        "::test_a_stream_that_is_cut_ends_in_an_error_and_never_in_an_invented_end",
    ),
    Bug(
        36,
        "bridge_project/logging.py",
        "setattr(record, name, redact(str(value)))",
        "setattr(record, name, str(value))",
        "bridge_project/tests/test_log_lines_hold_no_secret.py"
        "::test_a_key_is_taken_out_of_the_message_its_arguments_and_extras",
    ),
    Bug(
        36,
        "messages_api/services/failures.py",
        "words = without(speaker.key, _own_words(fields, metadata))[:LONGEST_WORDS]",
        "words = _own_words(fields, metadata)[:LONGEST_WORDS]",
        f"{TESTS}/test_no_error_tells_the_key_that_pays.py::test_in_mid_stream",
    ),
    Bug(
        37,
        f"{TRANSLATION}/stop_reason.py",
        'raise AnswerError("The model gave an empty answer.")',
        "return Stop(reason)",
        f"{TESTS}/test_the_end_of_an_answer_is_its_own.py::test_what_is_not_an_answer_is_an_error",
    ),
    Bug(
        38,
        f"{TRANSLATION}/stop_reason.py",
        'if reason in {"end_turn", "tool_use", "pause_turn", "stop_sequence"} and has_calls:',
        'if reason == "tool_use" and has_calls:',
        f"{TESTS}/test_the_end_of_an_answer_is_its_own.py"
        "::test_a_call_decides_the_end_and_not_what_the_upstream_calls_it",
    ),
    Bug(
        38,
        f"{TRANSLATION}/stop_reason.py",
        'return Stop("end_turn" if reason == "tool_use" else reason)',
        "return Stop(reason)",
        f"{TESTS}/test_the_end_of_an_answer_is_its_own.py::test_without_a_call_no_end_is_tool_use",
    ),
    Bug(
        39,
        f"{TRANSLATION}/tools.py",
        "if kind.startswith(WEB_SEARCH_TYPE):",
        'if kind == "web_search_20250305":',
        f"{TESTS}/test_golden_translations.py::test_the_request_becomes_the_chat_body",
    ),
    Bug(
        39,
        f"{TRANSLATION}/tools.py",
        """raise InvalidRequest(f"{path}.type: {refusal_of_tool(param.type or '')}")""",
        'return "", {}',
        f"{TESTS}/test_every_field_of_the_sdk_has_a_fate.py"
        "::test_a_tool_that_cannot_be_served_is_refused_by_its_name_and_never_a_bare_function",
    ),
    Bug(
        39,
        f"{TRANSLATION}/stream.py",
        "            self._citations.note(piece.citation)  # told with the next text\n",
        "            pass\n",
        f"{TESTS}/test_citations_reach_the_client.py::test_a_citation_before_any_text_belongs_to_the_next",
    ),
    Bug(
        40,
        "bridge_project/urls.py",
        '    path("api/event_logging/<path:rest>", views.event_logging),\n',
        "",
        "tests/test_probes_and_side_traffic.py::test_side_traffic_is_answered_without_a_key",
    ),
    Bug(
        41,
        "usage/services/budgets/reservations.py",
        "return self.spent + self.reserved + amount > self.cap",
        "return self.spent + amount > self.cap",
        f"{BUDGETS}::test_what_fits_exactly_is_let_in_and_what_is_a_picodollar_more_is_not",
    ),
    Bug(
        41,
        "usage/services/ledger.py",
        "counting.settle(newly_final)",
        "counting.settle(settled.values())",
        f"{BUDGETS}::test_lines_that_come_twice_are_counted_once",
    ),
    Bug(
        41,
        "usage/models/budgets.py",
        "self.period_start, self.spent, self.reserved, self.noticed = period_start, 0, 0, 0",
        "self.period_start, self.spent, self.noticed = period_start, 0, 0",
        f"{BUDGETS}::test_a_new_period_begins_with_the_first_request_in_it",
    ),
    Bug(
        41,
        "usage/periods.py",
        "datetime.combine(day, time.min, zone).astimezone(UTC)",
        "datetime.combine(day, time.min, UTC)",
        "usage/tests/test_periods_follow_the_calendar.py::test_a_day_on_which_clocks_change",
    ),
    Bug(
        42,
        "usage/services/retention.py",
        "wanted - (made - set(stale_days()))",
        "wanted - made",
        "usage/tests/test_old_records_are_deleted.py::test_a_day_that_was_written_to_since_is_refused",
    ),
    Bug(
        42,
        "usage/services/retention.py",
        '.values_list("pk", flat=True)[:PIECE]',
        '.values_list("pk", flat=True)',
        "usage/tests/test_old_records_are_deleted.py::test_a_large_day_goes_in_pieces",
    ),
    Bug(
        43,
        "usage/services/admission.py",
        "taken = self._taken.pop(entry.request_id, None)",
        "taken = None",
        "usage/tests/test_admission_gives_back_what_it_took.py::test_a_place_is_free_however_its_request_ends",
    ),
    Bug(
        43,
        "usage/services/limits/take.lua",
        "  redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%.6f', seconds))\n",
        "",
        "usage/tests/test_limits_in_redis_count_as_in_one_process.py"
        "::test_a_place_that_nobody_renews_is_free_after_its_lease",
    ),
    Bug(
        44,
        "requirements.txt",
        "\naiohttp==",
        "\nunhashed==1.0.0\naiohttp==",
        "tests/test_docs_are_true.py::test_every_pinned_requirement_has_its_hashes",
    ),
    Bug(
        45,
        "messages_api/services/routing.py",
        "requested.removesuffix(LONG_CONTEXT_SUFFIX).removeprefix(PICKER_PREFIX)",
        "requested.removeprefix(PICKER_PREFIX)",
        f"{TESTS}/test_names_resolve_in_order.py::test_the_mark_of_a_long_context_is_stripped_first",
    ),
    Bug(
        46,
        "messages_api/services/failures.py",
        "retry_after=retry_after or _retry_after(fields))",
        'retry_after=retry_after or _retry_after(fields) or "60")',
        f"{TESTS}/test_upstream_failures_keep_their_words.py::test_a_retry_after_is_never_made_up",
    ),
    Bug(
        46,
        "usage/services/limits/arithmetic.py",
        "        opens_at = at + SPAN\n",
        "        opens_at = tick + WINDOW\n",
        "usage/tests/test_limits_hold_in_every_minute.py::test_waiting_as_long_as_told_and_no_shorter_lets_in",
    ),
    Bug(
        47,
        "messages_api/services/failures.py",
        "return errors.InvalidRequest(_too_long(redact(message)))",
        "return errors.InvalidRequest(redact(message))",
        f"{TESTS}/test_upstream_failures_keep_their_words.py"
        "::test_a_prompt_that_is_too_long_is_told_in_the_words_that_make_the_client_compact",
    ),
    Bug(
        48,
        f"{TRANSLATION}/tools.py",
        'tool: dict[str, Any] = {"type": "function", "function": function}\n',
        'tool: dict[str, Any] = {"type": "function", "function": function}\n'
        '    tool |= {} if param.defer_loading is ABSENT else {"defer_loading": True}\n',
        f"{TESTS}/test_golden_translations.py::test_the_request_becomes_the_chat_body",
    ),
    Bug(
        49,
        "messages_api/services/routing.py",
        'if family in claude_name.removeprefix("claude-")',
        'if family == claude_name.removeprefix("claude-")',
        f"{TESTS}/test_names_resolve_in_order.py::test_a_claude_name_without_an_alias_goes_to_its_family",
    ),
    Bug(
        50,
        f"{TRANSLATION}/request.py",
        "hashlib.sha256(request.metadata.user_id.encode()).hexdigest()[:USER_LENGTH]",
        "request.metadata.user_id",
        f"{TESTS}/test_who_asks_is_told_unreadably.py"
        "::test_a_user_id_longer_than_providers_accept_is_hashed_the_same_way_every_time",
    ),
)
