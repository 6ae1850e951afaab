package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assumptions.assumeFalse;

import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.index.BlockSketch;
import dev.whence.influence.index.IndexSettings;
import dev.whence.influence.index.ShardFile;
import dev.whence.influence.model.Measure;
import dev.whence.runtime.worker.EnvironmentException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ConfiguredFilesTest {
  @TempDir private Path indexes;

  /** As lost+found at the top of a disk. */
  @Test
  void aDirectoryThatThisProcessMayNotListKeepsNobodyFromTheIndexesBesideIt() throws Exception {
    Path closed = Files.createDirectory(indexes.resolve("lost+found"));
    Path index = Files.createDirectory(indexes.resolve("one"));
    Files.writeString(
        index.resolve("index.json"),
        """
        {"format": "%s", "modelName": "m", "model": "m", "factors": "f", "measure": "log-likelihood",
         "lambda0": "0.1x", "buckets": 64, "sketchSeed": 1, "corpus": "c", "shards": 1,
         "checksums": [{"checksum": "1", "documents": 1}]}
        """
            .formatted(ShardFile.FORMAT));
    Files.setPosixFilePermissions(closed, PosixFilePermissions.fromString("---------"));
    try {
      assumeFalse(Files.isReadable(closed), "root may read it");
      ConfiguredFiles files = new ConfiguredFiles(List.of(indexes), List.of());
      assertThat(files.indexDirectories()).containsExactly(index);
      ConfiguredFiles.Indexes all = files.allIndexes();
      assertThat(all.newestFirst()).hasSize(1);
      assertThat(all.unread()).isEmpty();
    } finally {
      Files.setPosixFilePermissions(closed, PosixFilePermissions.fromString("rwx------"));
    }
  }

  /** A link to itself says nothing of what is there, as a network that fails. */
  @Test
  void aRootThatCanNotBeLookedAtMayHoldIndexesAndOneThatIsNotThereHoldsNone() throws Exception {
    Path link = indexes.resolve("link");
    Files.createSymbolicLink(link, link);
    ConfiguredFiles files =
        new ConfiguredFiles(List.of(link, indexes.resolve("not-mounted")), List.of());
    assertThat(files.allIndexes().unread())
        .singleElement()
        .satisfies(
            sentence ->
                assertThat(sentence)
                    .startsWith(link + " could not be read (")
                    .containsIgnoringCase("symbolic links"));
  }

  /** Else an older index or older factors would be taken. */
  @Test
  void aFileThatCanNotBeLookedAtIsNotOneThatIsNotThere() throws Exception {
    for (String name : List.of("index.json", "lambda.factors")) {
      Path file = Files.createDirectory(indexes.resolve("of-" + name)).resolve(name);
      Files.createSymbolicLink(file, file);
    }
    ConfiguredFiles files = new ConfiguredFiles(List.of(indexes), List.of(indexes));
    assertThat(files.allIndexes().unread())
        .singleElement()
        .asString()
        .startsWith(indexes + "/of-index.json/index.json could not be read (");
    for (Optional<Path> first :
        List.of(Optional.<Path>empty(), Optional.of(indexes.resolve("of-lambda.factors")))) {
      assertThatThrownBy(() -> files.factors(first, identity -> true))
          .isInstanceOf(EnvironmentException.class)
          .hasMessageContaining("lambda.factors could not be read (");
    }
  }

  private static IndexSettings whitenedBy(String factors) {
    return new IndexSettings(
        "m",
        "",
        "0",
        factors,
        "1",
        Measure.LOG_LIKELIHOOD,
        Damping.DEFAULT,
        false,
        new BlockSketch(64, 1),
        "",
        "2",
        1);
  }

  @Test
  void factorsOfAnIndexAreLookedForWhereItsAddressSaysAndElseInTheDirectories() throws Exception {
    Path file = Files.createDirectory(indexes.resolve("factors")).resolve("lambda.factors");
    Files.createSymbolicLink(file, file);
    ConfiguredFiles none = new ConfiguredFiles(List.of(), List.of());
    IndexSettings there = whitenedBy(file.getParent().toUri().toString());
    assertThatThrownBy(() -> none.pretraining(there))
        .isInstanceOf(EnvironmentException.class)
        .hasMessageContaining("lambda.factors could not be read (");
    IndexSettings inStore = whitenedBy("s3://bucket/factors"); // which is not read here
    assertThat(none.pretraining(inStore)).isEmpty();
    ConfiguredFiles files = new ConfiguredFiles(List.of(), List.of(indexes));
    assertThatThrownBy(() -> files.pretraining(inStore)).isInstanceOf(EnvironmentException.class);
  }
}
