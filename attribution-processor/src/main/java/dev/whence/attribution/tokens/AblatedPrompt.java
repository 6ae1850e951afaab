package dev.whence.attribution.tokens;

/**
 * The tokens of a prompt from which characters were deleted.
 *
 * @param ids all token ids, as the tokenizer gives them for the shortened text
 * @param sharedPrefix how many leading tokens are those of the full prompt
 * @param sharedSuffix how many trailing tokens are those of the full prompt; they and the leading
 *     ones are disjoint
 * @param retokenized whether tokens outside the cut changed, that is, the ids are not those of the
 *     full prompt with one run of tokens left out
 * @param reasoning which of the ids are the reasoning's
 */
@SuppressWarnings("ArrayRecordComponent") // compared nowhere
public record AblatedPrompt(
    int[] ids, int sharedPrefix, int sharedSuffix, boolean retokenized, ReasoningTokens reasoning) {
  /** A prompt whose tokens are known, but not yet where its reasoning stands. */
  static AblatedPrompt of(int[] full, int[] ids) {
    int shorter = Math.min(full.length, ids.length);
    int prefix = 0;
    while (prefix < shorter && full[prefix] == ids[prefix]) {
      prefix++;
    }
    int suffix = 0;
    while (suffix < shorter - prefix
        && full[full.length - 1 - suffix] == ids[ids.length - 1 - suffix]) {
      suffix++;
    }
    return new AblatedPrompt(
        ids, prefix, suffix, prefix + suffix < ids.length, ReasoningTokens.none(ids.length));
  }

  AblatedPrompt with(ReasoningTokens found) {
    return new AblatedPrompt(ids, sharedPrefix, sharedSuffix, retokenized, found);
  }

  AblatedPrompt notCounted() {
    return new AblatedPrompt(ids, sharedPrefix, sharedSuffix, false, reasoning);
  }
}
