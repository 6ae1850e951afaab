package dev.whence.influence.index;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import dev.whence.influence.InfluenceException;
import java.io.IOException;
import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class IndexManifestTest {
  private static final String REST =
      """
      "modelName": "m", "model": "m", "factors": "f", "measure": "log-likelihood",
      "lambda0": "0.1x", "buckets": 64, "sketchSeed": 1, "corpus": "c", "shards": 1,
      "checksums": [{"checksum": "1", "documents": 1}]}
      """;

  @TempDir private Path directory;

  private void write(String format) throws IOException {
    Files.writeString(directory.resolve(IndexManifest.FILE), "{" + format + REST);
  }

  /** A query that is sketched in one way must not be asked of documents sketched in another. */
  @ParameterizedTest
  @ValueSource(strings = {"", "\"format\": \"WHENCEI2\",", "\"format\": \"WHENCEI9\","})
  void anIndexOfAnotherVersionIsRefused(String format) throws IOException {
    write(format);
    assertThatThrownBy(() -> IndexManifest.read(directory))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("index.json is of another version")
        .hasMessageContaining("run 'whence influence index' again");
  }

  /** A file of zeros takes no room on the disk, and all of it in memory. */
  @Test
  void aManifestFarLargerThanAnyIsRefusedUnread() throws IOException {
    try (RandomAccessFile file =
        new RandomAccessFile(directory.resolve(IndexManifest.FILE).toFile(), "rw")) {
      file.setLength((256L << 20) + 1);
    }
    assertThatThrownBy(() -> IndexManifest.read(directory))
        .isInstanceOfSatisfying(
            InfluenceException.class, e -> assertThat(e.isOfEnvironment()).isFalse())
        .hasMessageContaining("index.json is no manifest of an index");
  }

  @Test
  void aManifestOfAMillionValuesIsRefused() throws IOException {
    write("\"format\": \"" + ShardFile.FORMAT + "\", \"y\": [" + "{},".repeat(500_000) + "1],");
    assertThatThrownBy(() -> IndexManifest.read(directory))
        .isInstanceOf(InfluenceException.class)
        .hasMessageContaining("index.json is no manifest of an index");
  }

  @Test
  void anIndexOfThisVersionIsRead() throws IOException {
    write("\"format\": \"" + ShardFile.FORMAT + "\",");
    assertThat(IndexManifest.read(directory).documents()).isEqualTo(1);
    assertThat(IndexManifest.read(directory).settings().rounded()).isFalse();
  }
}
