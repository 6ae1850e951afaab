package dev.whence.influence.index;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.influence.InfluenceException;
import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.model.Measure;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class IndexSettingsTest {
  private static IndexSettings at(String place) {
    return new IndexSettings(
        "m",
        place,
        "0",
        place,
        "1",
        Measure.LOG_LIKELIHOOD,
        Damping.DEFAULT,
        false,
        new BlockSketch(64, 1),
        place,
        "2",
        1);
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
