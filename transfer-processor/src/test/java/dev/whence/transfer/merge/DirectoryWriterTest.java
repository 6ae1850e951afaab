package dev.whence.transfer.merge;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.engine.weights.SafetensorsHeader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class DirectoryWriterTest {
  @TempDir Path directory;

  @Test
  void aDirectoryThatCanNotBeBegunLeavesNothingAndKeepsNobodyAway() throws Exception {
    Path output = directory.resolve("model");
    List<SafetensorsHeader.Tensor> tooMany = // bytes that no header can say
        List.of(
            new SafetensorsHeader.Tensor("a", "F32", List.of(1L), Long.MAX_VALUE),
            new SafetensorsHeader.Tensor("b", "F32", List.of(1L), Long.MAX_VALUE));
    assertThatThrownBy(() -> new DirectoryWriter(output, tooMany, Map.of()))
        .isInstanceOf(ArithmeticException.class);
    try (var files = Files.list(directory)) {
      assertThat(files).isEmpty();
    }

    try (DirectoryWriter again = new DirectoryWriter(output, List.of(), Map.of())) {
      again.publish(Map.of());
    }
    assertThat(output).isDirectory();
  }
}
