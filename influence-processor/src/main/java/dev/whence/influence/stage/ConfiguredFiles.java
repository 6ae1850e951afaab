package dev.whence.influence.stage;

import dev.whence.files.FileProblem;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.index.IndexManifest;
import dev.whence.influence.index.IndexSettings;
import dev.whence.runtime.models.ModelLoadException;
import dev.whence.runtime.worker.EnvironmentException;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.AccessDeniedException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.BasicFileAttributes;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.slf4j.Logger;
import org.slf4j.LoggerFactory;

/**
 * Where this process looks for indexes and factors. What it is asked for it finds by digest, so
 * nobody who can write to a topic chooses a file.
 *
 * @param indexes directories, each an index (or a part of one) or a directory of such
 * @param factors directories, each of factors or a directory of such
 */
record ConfiguredFiles(List<Path> indexes, List<Path> factors) {
  private static final Logger LOG = LoggerFactory.getLogger(ConfiguredFiles.class);

  ConfiguredFiles {
    indexes = List.copyOf(indexes);
    factors = List.copyOf(factors);
  }

  /** Every directory that holds an index or a part of one, of those that can be read now. */
  List<Path> indexDirectories() {
    return directories(indexes, IndexManifest::isIn, new ArrayList<>());
  }

  /**
   * Indexes.
   *
   * @param newestFirst those that can be read
   * @param unread what could not be read just now, a sentence each: there may be more indexes
   */
  record Indexes(List<LocatedIndex> newestFirst, List<String> unread) {
    Indexes {
      newestFirst = List.copyOf(newestFirst);
      unread = List.copyOf(unread);
    }
  }

  /** All indexes. */
  Indexes allIndexes() {
    List<String> unread = new ArrayList<>();
    Map<LocatedIndex, FileTime> found = new LinkedHashMap<>();
    for (Path directory : directories(indexes, IndexManifest::isIn, unread)) {
      try {
        IndexManifest manifest = IndexManifest.read(directory);
        found.put(new LocatedIndex(directory, manifest), IndexManifest.made(directory));
      } catch (InfluenceException e) {
        passOver("an index is passed over", e, unread);
      } catch (IOException e) {
        unread.add(unreadable(directory, e));
      }
    }
    return new Indexes(
        found.entrySet().stream()
            .sorted(Map.Entry.<LocatedIndex, FileTime>comparingByValue().reversed())
            .map(Map.Entry::getKey)
            .toList(),
        unread);
  }

  private static void passOver(String what, InfluenceException e, List<String> unread) {
    if (e.isOfEnvironment()) {
      unread.add(String.valueOf(e.getMessage()));
    } else {
      LOG.warn("{}: {}", what, e.getMessage());
    }
  }

  private static String unreadable(Path path, IOException e) {
    return path + " could not be read (" + FileProblem.of(e, path) + ").";
  }

  /** An index and where it is. */
  record LocatedIndex(Path directory, IndexManifest manifest) {
    /** Whether it is the one that is named, by its digest or where it is. */
    boolean isNamed(String name) {
      return manifest.digest().equalsIgnoreCase(name)
          || directory
              .toAbsolutePath()
              .normalize()
              .equals(Path.of(name).toAbsolutePath().normalize());
    }
  }

  /**
   * Factors that are wanted; {@code first} is looked at before all others.
   *
   * @throws EnvironmentException if none of those that can be read are, and others can not be read
   *     just now
   */
  Optional<Path> factors(Optional<Path> first, Predicate<EkfacFactors.Identity> wanted) {
    List<String> unread = new ArrayList<>();
    LinkedHashSet<Path> candidates = new LinkedHashSet<>();
    first
        .filter(directory -> holds(directory, EkfacFactors::isIn, unread))
        .ifPresent(candidates::add);
    candidates.addAll(directories(factors, EkfacFactors::isIn, unread));
    for (Path directory : candidates) {
      try {
        if (wanted.test(EkfacFactors.identity(directory))) {
          return Optional.of(directory);
        }
      } catch (InfluenceException e) {
        passOver("factors are passed over", e, unread);
      }
    }
    if (!unread.isEmpty()) {
      throw new EnvironmentException(
          "the factors that are wanted may be among those that can not be read now: "
              + String.join(" ", unread));
    }
    return Optional.empty();
  }

  /**
   * Factors that an index was built with: where they were, else in one of the directories.
   *
   * @throws EnvironmentException as {@link #factors(Optional, Predicate)}
   */
  Optional<Path> pretraining(IndexSettings index) {
    Optional<Path> first = Optional.empty();
    try {
      first = Optional.of(index.whereFactorsWere());
    } catch (InfluenceException e) {
      LOG.warn("factors are looked for in the directories of 'factors' only: {}", e.getMessage());
    }
    return factors(first, identity -> identity.digest().equals(index.factorsDigest()));
  }

  /**
   * That factors which were found by their digest are still those, now that they are read.
   *
   * @throws ModelLoadException if others were put into their place meanwhile
   */
  static void check(EkfacFactors factors, String digest) throws ModelLoadException {
    if (!factors.digest().equals(digest)) {
      throw new ModelLoadException(
          "the factors of digest "
              + digest
              + " were exchanged for others, of digest "
              + factors.digest()
              + ", while they were read");
    }
  }

  private static List<Path> directories(
      List<Path> roots, Predicate<Path> wanted, List<String> unread) {
    List<Path> found = new ArrayList<>();
    for (Path root : roots) {
      if (!isDirectory(root, unread)) {
        LOG.warn("{} is no directory that can be read", root);
      } else if (holds(root, wanted, unread)) {
        found.add(root);
      } else {
        try (Stream<Path> entries = Files.list(root)) {
          entries
              .filter(entry -> isDirectory(entry, unread))
              .filter(entry -> holds(entry, wanted, unread))
              .sorted()
              .forEach(found::add);
        } catch (AccessDeniedException e) {
          LOG.warn("{} may not be read by this process", root);
        } catch (IOException e) {
          unread.add(unreadable(root, e));
        } catch (UncheckedIOException e) {
          unread.add(unreadable(root, Objects.requireNonNull(e.getCause())));
        }
      }
    }
    return found;
  }

  /**
   * Whether a root is there. One that is not, such as one that is not mounted, is passed over: a
   * configuration may name those of other hosts, too.
   */
  private static boolean isDirectory(Path root, List<String> unread) {
    try {
      return Files.readAttributes(root, BasicFileAttributes.class).isDirectory();
    } catch (NoSuchFileException | AccessDeniedException e) {
      return false;
    } catch (IOException e) {
      unread.add(unreadable(root, e));
      return false;
    }
  }

  /** One that can not be listed keeps nobody from the others. */
  private static boolean holds(Path directory, Predicate<Path> wanted, List<String> unread) {
    try {
      return wanted.test(directory);
    } catch (InfluenceException e) {
      passOver("a directory is passed over", e, unread);
      return false;
    }
  }
}
