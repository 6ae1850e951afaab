package dev.whence.runtime.config;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ConnectionTest {
  @TempDir private Path directory;

  /** Whether a record fits into its topic is computed before it is sent. */
  @Test
  void howRecordsAreCompressedCanNotBeSet() throws IOException {
    Path file =
        Files.writeString(
            directory.resolve("config.yaml"),
            """
            kafka.bootstrap.servers: b:1
            registry.url: http://r1
            kafka.compression.zstd.level: 9
            producer.compression.zstd.level: 1
            producer.compression.type: gzip
            """);
    Settings settings = Settings.load(file, Map.of(), Map.of());
    Connection unused = Connection.read(settings);
    ConfigException e = catchThrowableOfType(ConfigException.class, settings::finish);
    assertThat(e.problems())
        .containsExactlyInAnyOrder(
            "kafka.compression.zstd.level can not be set: sizes are computed for the level that is"
                + " used",
            "producer.compression.zstd.level can not be set: sizes are computed for the level that"
                + " is used",
            "producer.compression.type can not be set: sizes are computed for the one that is"
                + " used");
  }
}
