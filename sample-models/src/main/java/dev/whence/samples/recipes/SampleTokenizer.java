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

  private SampleTokenizer() {}

  /** tokenizer.json and tokenizer_config.json of that many tokens; the same at every call. */
  static Map<String, byte[]> files(int vocabulary, int positions) {
    BytePairEncoding encoding =
        BytePairEncoding.train(
            TokenizerTexts.of(World.v1(Recipes.WORLD_SEED), TokenizerTexts.Options.standard(SEED)),
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
