package dev.whence.influence.stage;

import dev.whence.influence.InfluenceException;
import dev.whence.influence.ekfac.EkfacFactors;
import dev.whence.influence.index.IndexManifest;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
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

  /** Every directory that holds an index or a part of one. */
  List<Path> indexDirectories() {
    return directories(indexes, IndexManifest::isIn);
  }

  /** All indexes, the newest first. */
  List<LocatedIndex> newestIndexes() {
    Map<LocatedIndex, FileTime> found = new LinkedHashMap<>();
    for (Path directory : indexDirectories()) {
      try {
        IndexManifest manifest = IndexManifest.read(directory);
        found.put(new LocatedIndex(directory, manifest), IndexManifest.made(directory));
      } catch (InfluenceException | IOException e) {
        LOG.warn("an index is passed over: {}", e.getMessage());
      }
    }
    return found.entrySet().stream()
        .sorted(Map.Entry.<LocatedIndex, FileTime>comparingByValue().reversed())
        .map(Map.Entry::getKey)
        .toList();
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

  /** Factors that are wanted; {@code first} is looked at before all others. */
  Optional<Path> factors(Optional<Path> first, Predicate<EkfacFactors.Identity> wanted) {
    LinkedHashSet<Path> candidates = new LinkedHashSet<>();
    first.filter(EkfacFactors::isIn).ifPresent(candidates::add);
    candidates.addAll(directories(factors, EkfacFactors::isIn));
    for (Path directory : candidates) {
      try {
        if (wanted.test(EkfacFactors.identity(directory))) {
          return Optional.of(directory);
        }
      } catch (InfluenceException e) {
        LOG.warn("factors are passed over: {}", e.getMessage());
      }
    }
    return Optional.empty();
  }

  private static List<Path> directories(List<Path> roots, Predicate<Path> wanted) {
    List<Path> found = new ArrayList<>();
    for (Path root : roots) {
      if (!Files.isDirectory(root)) {
        LOG.warn("{} is no directory", root);
      } else if (wanted.test(root)) {
        found.add(root);
      } else {
        try (Stream<Path> entries = Files.list(root)) {
          entries.filter(Files::isDirectory).filter(wanted).sorted().forEach(found::add);
        } catch (IOException e) {
          LOG.warn("{} can not be read ({})", root, e.getClass().getSimpleName());
        }
      }
    }
    return found;
  }
}
