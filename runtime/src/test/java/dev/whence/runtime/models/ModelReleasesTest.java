package dev.whence.runtime.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.runtime.config.Connection;
import dev.whence.runtime.serde.AvroValues;
import dev.whence.runtime.serde.UnreadableException;
import dev.whence.schemas.avro.ModelRelease;
import dev.whence.schemas.avro.ModelRole;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelReleasesTest {
  @TempDir Path directory;

  @Test
  void theLastReleaseOfARoleIsLiveUntilItIsWithdrawn() {
    LiveReleases releases = new LiveReleases();
    assertThat(releases.live(ModelRole.FAST)).isEmpty();
    releases.released("a", 0, release("a", ModelRole.FAST));
    releases.released("b", 1, release("b", ModelRole.FAST, ModelRole.TARGET));
    releases.released("c", 2, release("c", ModelRole.TARGET));
    assertThat(releases.live(ModelRole.FAST)).map(ModelRelease::getModelId).hasValue("b");
    assertThat(releases.live(ModelRole.TARGET)).map(ModelRelease::getModelId).hasValue("c");
    assertThat(releases.all(ModelRole.FAST))
        .extracting(ModelRelease::getModelId)
        .containsExactly("b", "a");
    releases.withdrawn("b");
    assertThat(releases.live(ModelRole.FAST)).map(ModelRelease::getModelId).hasValue("a");
    releases.released("a", 5, release("a", ModelRole.TARGET));
    assertThat(releases.live(ModelRole.FAST)).isEmpty();
    assertThat(releases.live(ModelRole.TARGET)).map(ModelRelease::getModelId).hasValue("a");
  }

  @Test
  void aReleaseThatIsPublishedOnceMoreStandsElsewhere() {
    LiveReleases releases = new LiveReleases();
    assertThat(releases.liveAt(ModelRole.FAST)).isEmpty();
    releases.released("a", 3, release("a", ModelRole.FAST));
    releases.released("b", 4, release("b", ModelRole.TARGET));
    assertThat(releases.liveAt(ModelRole.FAST)).hasValue(3);
    releases.released("a", 7, release("a", ModelRole.FAST));
    assertThat(releases.liveAt(ModelRole.FAST)).hasValue(7);
  }

  @Test
  void aLocationMustLieUnderARootWithLinksFollowed() throws Exception {
    Path root = Files.createDirectory(directory.resolve("models"));
    Path inside = Files.createDirectory(root.resolve("m1"));
    Path outside = Files.createDirectory(directory.resolve("elsewhere"));
    Files.createSymbolicLink(root.resolve("link"), outside);
    List<Path> roots = List.of(directory.resolve("absent"), root);
    assertThat(ModelLocation.resolve("m1", roots)).isEqualTo(inside.toRealPath());
    assertThat(ModelLocation.resolve(inside.toString(), roots)).isEqualTo(inside.toRealPath());
    assertThat(ModelLocation.resolve(inside.toUri().toString(), roots))
        .isEqualTo(inside.toRealPath());
    for (String bad :
        List.of("link", "../elsewhere", outside.toString(), "m2", "file://host/x", "a\0b")) {
      assertThatThrownBy(() -> ModelLocation.resolve(bad, roots))
          .as(bad)
          .isInstanceOf(ModelLoadException.class);
    }
    assertThatThrownBy(() -> ModelLocation.resolve("m1", List.of()))
        .hasMessageContaining("models.roots");
  }

  /** Each is kept, and a batch of a few KB may unpack to hundreds of large ones. */
  @Test
  void whatIsLargerThanAReleaseMayBeIsNone() {
    byte[] value = new byte[(1 << 20) + 1];
    try (AvroValues values = new AvroValues(Connection.of("127.0.0.1:1", "http://127.0.0.1:1"))) {
      assertThatThrownBy(() -> LiveReleases.read(value, values))
          .isInstanceOf(UnreadableException.class)
          .hasMessageContaining("it has 1048577 bytes, but a release may have 1048576");
    }
  }

  private static ModelRelease release(String modelId, ModelRole... roles) {
    return ModelRelease.newBuilder().setModelId(modelId).setRoles(List.of(roles)).build();
  }
}
