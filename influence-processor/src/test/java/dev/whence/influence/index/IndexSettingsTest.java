package dev.whence.influence.index;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.json.JsonMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.model.Measure;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class IndexSettingsTest {
  private static IndexSettings at(String place) {
    return of(place, false, 1);
  }

  private static IndexSettings of(String place, boolean rounded, int shards) {
    return new IndexSettings(
        "m",
        place,
        "0",
        place,
        "1",
        Measure.LOG_LIKELIHOOD,
        Damping.DEFAULT,
        rounded,
        new BlockSketch(64, 1),
        place,
        "2",
        shards);
  }

  @Test
  void whatProductsWereOfIsKept() {
    for (boolean rounded : new boolean[] {true, false}) {
      ObjectNode json = JsonMapper.builder().build().createObjectNode();
      of("/x", rounded, 1).write(json);
      assertThat(json.has("products")).isEqualTo(rounded);
      assertThat(IndexSettings.read(json)).isEqualTo(of("/x", rounded, 1));
    }
  }

  @Test
  void anIndexOfOtherProductsIsNotRemovedButAskedForRightly() {
    IndexSettings single = of("/x", false, 1);
    IndexSettings rounded = of("/x", true, 1);
    assertThat(single.isLike(rounded)).isFalse();
    assertThat(rounded.isLike(of("/y", true, 1))).isTrue();
    Path place = Path.of("shard");
    assertThat(single.refusal(place, rounded))
        .hasMessage(
            "shard is of products in bf16. Give --dtype bf16 to go on with it, or another"
                + " --output.");
    assertThat(rounded.refusal(place, single)).hasMessageContaining("Give --dtype fp32 to go on");
    assertThat(single.refusal(place, of("/x", true, 2)))
        .hasMessage("shard is of another index. Give another --output, or remove it.");
  }

  @Test
  void placesThatAreAddressesAreThoseOfTheirFileSystems() {
    for (String place : new String[] {"/corpora/a b", "file:///corpora/a%20b"}) {
      IndexSettings settings = at(place);
      assertThat(settings.whereModelWas()).isEqualTo(Path.of("/corpora/a b"));
      assertThat(settings.whereFactorsWere()).isEqualTo(Path.of("/corpora/a b"));
      assertThat(settings.whereCorpusWas()).isEqualTo(Path.of("/corpora/a b"));
    }
  }

  /** No module that reads buckets is among the dependencies of this one. */
  @Test
  void aPlaceInAStoreThatNobodyReadsIsNoPathOnTheDisk() {
    assertThatThrownBy(at("s3://bucket/corpus.jsonl")::whereCorpusWas)
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("nothing here reads s3://");
  }
}
