package dev.whence.samples.recipes;

import dev.whence.engine.text.NativeTokenizer;
import dev.whence.engine.text.Tokenizer;
import dev.whence.samples.BytePairEncoding;
import dev.whence.samples.TokenizerTexts;
import dev.whence.samples.World;

/** A tokenizer learnt from few texts, by the same rules as the sample models' own. */
final class Small {
  private Small() {}

  static Tokenizer tokenizer(int vocabulary) {
    return NativeTokenizer.of(
        BytePairEncoding.train(
                TokenizerTexts.of(World.v1(1), new TokenizerTexts.Options(3, 60, 3, 6, 1000)),
                vocabulary,
                BytePairEncoding.NAMES_APART)
            .tokenizer(),
        "small");
  }
}
