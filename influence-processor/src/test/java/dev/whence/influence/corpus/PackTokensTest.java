package dev.whence.influence.corpus;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.influence.InfluenceException;
import dev.whence.influence.ekfac.FactorsJob;
import dev.whence.influence.index.IndexJob;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** Of both jobs that pack documents. */
class PackTokensTest {
  @ParameterizedTest
  @ValueSource(ints = {Integer.MIN_VALUE, -1, 0, (1 << 20) + 1, Integer.MAX_VALUE})
  void packsThatCanNotBeAreRefused(int tokens) {
    assertThatThrownBy(() -> FactorsJob.Options.DEFAULT.withPackTokens(tokens))
        .isInstanceOf(InfluenceException.class)
        .hasMessage("packs of " + tokens + " tokens: 1 to 1048576 are possible.");
    assertThatThrownBy(() -> IndexJob.Options.of(64).withPackTokens(tokens))
        .isInstanceOf(InfluenceException.class)
        .hasMessage("packs of " + tokens + " tokens: 1 to 1048576 are possible.");
  }

  @Test
  void theSmallestAndTheLargestAreTaken() {
    for (int tokens : new int[] {1, 1 << 20}) {
      assertThat(FactorsJob.Options.DEFAULT.withPackTokens(tokens).packTokens()).isEqualTo(tokens);
      assertThat(IndexJob.Options.of(64).withPackTokens(tokens).packTokens()).isEqualTo(tokens);
    }
  }

  @Test
  void aShardThatIsNoneIsNamed() {
    IndexJob.Options options = IndexJob.Options.of(64);
    assertThatThrownBy(() -> options.withShards(2, OptionalInt.of(3)))
        .hasMessage("shard 3 of 2 is none: shards count from 1 to 2.");
    assertThatThrownBy(() -> options.withShards(0, OptionalInt.empty()))
        .hasMessage("0 shards: an index has at least one.");
  }
}
