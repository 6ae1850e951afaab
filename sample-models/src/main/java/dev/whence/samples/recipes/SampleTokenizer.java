package dev.whence.samples.recipes;

import dev.whence.samples.BytePairEncoding;
import dev.whence.samples.TokenizerTexts;
import dev.whence.samples.World;
import java.nio.charset.StandardCharsets;
import java.util.Map;

/** The tokenizer of the sample models: learnt from throw-away worlds, one per vocabulary size. */
final class SampleTokenizer {
  static final int END_OF_TEXT_ID = 0;
  static final int END_OF_TURN_ID = 2;

  private static final long SEED = 77;

  /** Below it, some hundred merges are learnt from few texts, words before syllables. */
  private static final int LARGE = 1024;

  private static final TokenizerTexts.Options FEW = new TokenizerTexts.Options(SEED, 100, 3, 6, 5);

  private SampleTokenizer() {}

  /** tokenizer.json and tokenizer_config.json of that many tokens; the same at every call. */
  static Map<String, byte[]> files(int vocabulary, int positions) {
    TokenizerTexts.Options texts = vocabulary < LARGE ? FEW : TokenizerTexts.Options.standard(SEED);
    BytePairEncoding encoding =
        BytePairEncoding.train(
            TokenizerTexts.of(World.v1(Recipes.WORLD_SEED), texts),
            vocabulary,
            BytePairEncoding.NAMES_APART);
    return Map.of(
        "tokenizer.json",
        encoding.tokenizer().toPrettyString().getBytes(StandardCharsets.UTF_8),
        "tokenizer_config.json",
        BytePairEncoding.tokenizerConfig(positions)
            .toPrettyString()
            .getBytes(StandardCharsets.UTF_8));
  }
}
