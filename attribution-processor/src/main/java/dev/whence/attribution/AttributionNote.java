package dev.whence.attribution;

import java.util.Collection;
import java.util.stream.Collectors;

/**
 * What a reader of a SCORED result should know about it. A result with notes carries the first of
 * them as its reason code, and the sentences of all as its reason.
 */
public enum AttributionNote {
  /** Only part of the prompt was read. */
  WINDOWED("What was left out has no score, and all numbers are of the shorter prompt."),
  /** Characters were read as unknown tokens. */
  TEXT_NOT_READ(
      "The model's vocabulary can not spell all of the prompt, of a source or of the response, and"
          + " scores of what it has not read mean nothing."),
  /** Nothing is attributable in a prompt that most likely has context in it: a flattened one. */
  NO_SOURCES_DECLARED(
      "The prompt is long, or nobody says what it is, and no segment of it is attributable, so its"
          + " groundedness of 0 says nothing; name its context with kinds, spans, a context pattern"
          + " or attributable all."),
  /** Other segments have sources, but one that looks flattened has none. */
  LONG_SEGMENT_WITHOUT_SOURCE(
      "A long question or instruction has no source; if it holds context, name that with kinds,"
          + " spans, a context pattern or attributable all."),
  /** The method asked for was too dear. */
  COST_BOUNDED("The method asked for costs more than the bound, so a cheaper one was used."),
  /** The scores have another unit than those of leaving out. */
  SCORES_RANK_ONLY(
      "The scores of this method rank the sources; they are not nats, and no threshold in nats"
          + " holds for them."),
  /** Refinement was ended by the clock. */
  DEADLINE_REACHED(
      "The deadline came before all of the first sources were scored exactly; each says what it"
          + " is."),
  /** No group score for want of time. */
  GROUPS_NOT_SCORED(
      "The deadline came before all groups of near-duplicates were scored, so sources of the others"
          + " may be worth more than their scores say."),
  /** Each group costs an exact branch, so only the first ones have a score. */
  GROUPS_LEFT_OUT(
      "There are more groups of near-duplicates than are scored together, so sources of the others,"
          + " which are the shorter ones, may be worth more than their scores say."),
  /** The FAST role's scores can not be taken over. */
  FAST_SCORES_UNUSABLE(
      "The fast result has other sources or lost some to a size limit, so all were scored again."),
  /** There are too many sources that look alike to compare them all. */
  DUPLICATES_NOT_SEARCHED(
      "So many sources share words that not all were compared, so a group of near-duplicates may be"
          + " missing, and its sources be worth more than their scores say."),
  /** The text of a segment became a special token, as in production. */
  SPECIAL_TOKEN_IN_SEGMENT(
      "A segment writes out a special token of the model, which read it as that token."),
  /** Nothing is left of a raw prompt without its context. */
  NO_PROMPT_WITHOUT_CONTEXT(
      "Without its attributable context nothing is left of the prompt, so groundedness is"
          + " unknown."),
  /** The response is empty: only the end token was scored. */
  EMPTY_RESPONSE("The response is empty: only its end token was scored."),
  /** The response was cut off; its end token was not generated and is not scored. */
  RESPONSE_CUT_OFF("The response was cut off, so no end token is scored."),
  /**
   * The prompt opens a reasoning block, or the model begins its answers with one, but the record
   * has no reasoning.
   */
  REASONING_MISSING(
      "The model's template makes it reason unless told not to, and the record has no reasoning:"
          + " the response is scored as if there had been none."),
  /** The record has reasoning, but the template has no place for it. */
  REASONING_NOT_CONDITIONED(
      "The record holds reasoning that the template does not render, so the response is scored"
          + " without it."),
  /** Not every source says what it did to the reasoning. */
  REASONING_NOT_ATTRIBUTED(
      "Not every source has a score for the reasoning, since the method or an earlier result that"
          + " gave its score says none; likelihoods and groundedness of the reasoning are there."),
  /** A cited segment does not exist or is not attributable. */
  CITATION_WITHOUT_SOURCE("A citation names a segment that has no source."),
  /** A cited segment did not make the citing statement more likely. */
  CITATION_NOT_SUPPORTED("A cited segment did not make the statement that cites it more likely."),
  /** The record has no citations, but the response has marks of some. */
  CITATIONS_DERIVED(
      "The record declares no citations, so those were checked that the response makes by marks"
          + " like [1].");

  private final String sentence;

  AttributionNote(String sentence) {
    this.sentence = sentence;
  }

  /** One sentence, without user text. */
  public String sentence() {
    return sentence;
  }

  static String sentences(Collection<AttributionNote> notes) {
    return notes.stream().map(AttributionNote::sentence).collect(Collectors.joining(" "));
  }
}
