package dev.whence.runtime.models;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ModelLocationTest {
  @TempDir Path directory;

  @Test
  void aLocationLiesUnderARootByItsNameItsPathOrItsUri() throws Exception {
    Path model = Files.createDirectories(directory.resolve("roots/a model"));
    Path root = directory.resolve("roots");
    for (String location :
        List.of("a model", model.toString(), model.toUri().toString(), "x/../a model")) {
      if (location.startsWith("x")) {
        Files.createDirectories(root.resolve("x"));
      }
      assertThat(ModelLocation.resolve(location, List.of(directory.resolve("none"), root)))
          .isEqualTo(model.toRealPath());
    }
  }

  @Test
  void whatIsOutsideOrReachedByALinkOrOfAStoreThatNobodyReadsIsRefused() throws Exception {
    Path root = Files.createDirectories(directory.resolve("roots"));
    Path outside = Files.createDirectories(directory.resolve("outside"));
    Files.createSymbolicLink(root.resolve("link"), outside);
    for (String location : List.of("../outside", outside.toString(), "link", "nowhere")) {
      assertThatThrownBy(() -> ModelLocation.resolve(location, List.of(root)))
          .isInstanceOf(ModelLoadException.class)
          .hasMessageContaining("is no existing file or directory under models.roots");
    }
    assertThatThrownBy(() -> ModelLocation.resolve("ftp://host/model", List.of(root)))
        .isInstanceOf(ModelLoadException.class)
        .hasMessageContaining("nothing here reads ftp://");
  }
}
