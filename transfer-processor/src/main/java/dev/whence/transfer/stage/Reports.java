package dev.whence.transfer.stage;

import dev.whence.files.Sha256;
import java.io.IOException;
import java.nio.file.DirectoryIteratorException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.FileTime;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.List;
import java.util.UUID;
import java.util.regex.Pattern;

/**
 * The pages of the transfers that were measured here, one file each: {@code TRANSFER_ID.html} in
 * one directory. The newest {@value #KEPT} are kept; all their numbers are in the events as well.
 */
final class Reports {
  /** Most pages that are kept. */
  static final int KEPT = 500;

  private static final String SUFFIX = ".html";
  private static final Pattern FILE_NAME = Pattern.compile("[A-Za-z0-9][A-Za-z0-9._-]{0,99}");

  private final Path directory;
  private final int kept;

  Reports(Path directory) {
    this(directory, KEPT);
  }

  /**
   * @param kept most pages that are kept
   */
  Reports(Path directory, int kept) {
    this.directory = directory.toAbsolutePath().normalize();
    this.kept = kept;
  }

  /**
   * Where a transfer's page is. An id is whatever key somebody wrote: one that is no plain file
   * name is named by its SHA-256.
   */
  Path of(String transferId) {
    String name = FILE_NAME.matcher(transferId).matches() ? transferId : Sha256.of(transferId);
    return directory.resolve(name + SUFFIX);
  }

  /**
   * Writes a page, whole or not at all, and removes the oldest above the number that is kept.
   *
   * @return its place
   */
  Path write(String transferId, String html) throws IOException {
    Files.createDirectories(directory);
    Path page = of(transferId);
    // A temporary file of the JDK's could be read by its owner only.
    Path growing = directory.resolve(".report-" + UUID.randomUUID());
    try {
      Files.writeString(growing, html, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE);
      Files.move(growing, page, StandardCopyOption.ATOMIC_MOVE);
    } finally {
      Files.deleteIfExists(growing);
    }
    removeOldest(page);
    return page;
  }

  private void removeOldest(Path written) throws IOException {
    record Page(FileTime modified, Path file) {}

    List<Page> others = new ArrayList<>();
    try (var files = Files.newDirectoryStream(directory, "*" + SUFFIX)) {
      for (Path file : files) {
        if (!file.equals(written)) {
          others.add(new Page(Files.getLastModifiedTime(file), file));
        }
      }
    } catch (DirectoryIteratorException e) {
      throw e.getCause();
    }
    others.sort(Comparator.comparing(Page::modified).reversed());
    for (Page page : others.subList(Math.min(kept - 1, others.size()), others.size())) {
      Files.deleteIfExists(page.file());
    }
  }
}
