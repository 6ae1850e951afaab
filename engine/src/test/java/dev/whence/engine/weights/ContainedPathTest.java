package dev.whence.engine.weights;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import dev.whence.engine.EngineException;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ContainedPathTest {
  @TempDir private Path directory;

  @Test
  void aNameOfMoreBytesThanFileSystemsTakeIsRefusedWithItsBeginning() throws IOException {
    String longest = "e".repeat(255);
    Files.createFile(directory.resolve(longest));
    assertThat(ContainedPath.resolve(directory, longest)).hasFileName(longest);

    for (String name : new String[] {"x".repeat(2_000_000), "\u00e9".repeat(128)}) {
      EngineException refused =
          catchThrowableOfType(EngineException.class, () -> ContainedPath.resolve(directory, name));
      assertThat(refused.kind()).isEqualTo(EngineException.Kind.MODEL);
      assertThat(refused)
          .hasMessageContaining("'" + name.substring(0, 120) + "...'")
          .hasMessageContaining("bytes, more than 255");
      assertThat(String.valueOf(refused.getMessage())).hasSizeLessThan(500);
    }
  }

  @Test
  void aShardThatDoesNotHoldItsTensorIsNamedByItsBeginning() throws IOException {
    String shard = "one.safetensors";
    Files.write(
        directory.resolve(shard),
        SafetensorsHeader.of(
                List.of(new SafetensorsHeader.Tensor("a", "F32", List.of(0L), 0)), Map.of())
            .array());
    Files.writeString(
        directory.resolve(SafetensorsShards.INDEX),
        "{\"weight_map\": {\"a\": \"" + "x".repeat(2_000_000) + "\", \"b\": \"" + shard + "\"}}");
    EngineException refused =
        catchThrowableOfType(
            EngineException.class, () -> SafetensorsShards.open(directory).close());
    assertThat(refused).hasMessageContaining("'a' is in " + shard);
    assertThat(String.valueOf(refused.getMessage())).hasSizeLessThan(2000);
  }
}
