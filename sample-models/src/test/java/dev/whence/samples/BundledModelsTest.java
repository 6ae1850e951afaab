package dev.whence.samples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.weights.ModelFiles;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class BundledModelsTest {
  @TempDir Path directory;

  @BeforeEach
  void unpackHere() {
    System.setProperty(BundledModels.DIRECTORY_PROPERTY, directory.toString());
  }

  @AfterEach
  void unpackElsewhere() {
    System.clearProperty(BundledModels.DIRECTORY_PROPERTY);
  }

  @Test
  void everyModelThatShipsOpensUnderItsName() throws IOException {
    for (String name : BundledModels.NAMES) {
      try (ModelFiles files = ModelFiles.open(BundledModels.unpack(name))) {
        assertThat(files.name()).isEqualTo(name);
      }
    }
  }

  @Test
  void aDamagedCopyIsReplacedAndNothingIsLeftBeside() throws IOException {
    Path model = BundledModels.unpack("tiny-base");
    Path weights = model.resolve("model.safetensors");
    byte[] whole = Files.readAllBytes(weights);
    Files.write(weights, new byte[10]);
    assertThat(BundledModels.unpack("tiny-base")).isEqualTo(model);
    assertThat(weights).hasBinaryContent(whole);
    try (Stream<Path> entries = Files.list(directory)) {
      assertThat(entries).hasSize(1);
    }
  }

  @Test
  void aModelThatDoesNotShipIsRefusedWithThoseThatDo() {
    assertThatThrownBy(() -> BundledModels.unpack("base-v9"))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContaining("chat-v1");
  }
}
