package dev.whence.influence.stage;

import static org.assertj.core.api.Assertions.assertThat;

import dev.whence.influence.InfluenceException;
import java.io.IOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.time.InstantSource;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.Deque;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class OpenShardsTest {
  @TempDir private Path indexes;

  /** A mode, an owner, or a move back change neither its size nor its time. */
  @Test
  void aShardThatCouldNotBeReadIsOpenedAgainAndOneThatIsDamagedIsNot() throws Exception {
    Files.createFile(indexes.resolve("shard-1-of-1.index"));
    Deque<InfluenceException> reasons = new ArrayDeque<>();
    for (IOException one :
        List.of(
            new AccessDeniedException("f"),
            new NoSuchFileException("f"),
            new NotDirectoryException("f"),
            new IOException("Input/output error"))) {
      reasons.add(new InfluenceException(one.getClass().getSimpleName(), one));
    }
    reasons.add(new InfluenceException("damaged"));
    reasons.add(new InfluenceException("opened though it has not changed"));
    OpenShards shards =
        new OpenShards(
            new ConfiguredFiles(List.of(indexes), List.of()),
            0,
            InstantSource.system(),
            path -> {
              throw reasons.remove();
            });
    for (String reason :
        List.of(
            "AccessDeniedException",
            "NoSuchFileException",
            "NotDirectoryException",
            "IOException",
            "damaged",
            "damaged")) {
      assertThat(shards.find(1, 1, "checksum")).isEqualTo(new OpenShards.Found.Missing(reason));
    }
  }

  /** An index has many shards, and each is looked for. */
  @Test
  void directoriesAreListedOnceUntilAnotherLook() throws Exception {
    OpenShards shards =
        new OpenShards(
            new ConfiguredFiles(List.of(indexes), List.of()),
            0,
            InstantSource.system(),
            path -> {
              throw new InfluenceException("opened");
            });
    OpenShards.Found opened = new OpenShards.Found.Missing("opened");
    assertThat(shards.find(1, 1, "checksum")).isNotEqualTo(opened);
    Path later = Files.createDirectory(indexes.resolve("later"));
    Files.createFile(later.resolve("shard-1-of-1.index"));
    assertThat(shards.find(1, 1, "checksum")).isNotEqualTo(opened);
    shards.lookAgain();
    assertThat(shards.find(1, 1, "checksum")).isEqualTo(opened);
  }

  /** As one that was restored, or moved to another disk, with its time. */
  @Test
  void aShardThatIsAnotherFileOfTheSameSizeAndTimeIsOpenedAgain() throws Exception {
    Path shard = Files.write(indexes.resolve("shard-1-of-1.index"), new byte[9]);
    List<Path> opened = new ArrayList<>();
    OpenShards shards = damaged(opened);
    shards.find(1, 1, "checksum");
    shards.find(1, 1, "checksum");
    assertThat(opened).hasSize(1);
    Path copy = Files.copy(shard, indexes.resolve("copy"), StandardCopyOption.COPY_ATTRIBUTES);
    Files.move(copy, shard, StandardCopyOption.REPLACE_EXISTING);
    shards.find(1, 1, "checksum");
    assertThat(opened).hasSize(2);
  }

  @Test
  void whatTakesLongerToOpenThanThereIsTimeIsOpenedLater() throws Exception {
    Files.write(indexes.resolve("shard-1-of-1.index"), new byte[1 << 20]);
    List<Path> opened = new ArrayList<>();
    OpenShards shards = damaged(opened);
    assertThat(shards.find(1, 1, "checksum", () -> 1e-6))
        .isEqualTo(new OpenShards.Found.TooLong(1 << 20));
    assertThat(opened).isEmpty();
    OpenShards.Found damaged = new OpenShards.Found.Missing("damaged");
    assertThat(shards.find(1, 1, "checksum", () -> 1)).isEqualTo(damaged);
    assertThat(shards.find(1, 1, "checksum", () -> 0)).isEqualTo(damaged); // as is known by now
    assertThat(opened).hasSize(1);
  }

  /** Shards that are all damaged, as is found once they are opened. */
  private OpenShards damaged(List<Path> opened) {
    return new OpenShards(
        new ConfiguredFiles(List.of(indexes), List.of()),
        0,
        InstantSource.system(),
        path -> {
          opened.add(path);
          throw new InfluenceException("damaged");
        });
  }
}
