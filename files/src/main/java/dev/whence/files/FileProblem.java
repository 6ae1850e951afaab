package dev.whence.files;

import java.io.IOException;
import java.nio.charset.CharacterCodingException;
import java.nio.file.AccessDeniedException;
import java.nio.file.DirectoryNotEmptyException;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.FileSystemException;
import java.nio.file.FileSystemLoopException;
import java.nio.file.NoSuchFileException;
import java.nio.file.NotDirectoryException;
import java.nio.file.Path;

/** What is wrong with a file, in words: exceptions of file systems have only its path to say. */
public final class FileProblem {
  private FileProblem() {}

  /**
   * The problem, for a sentence that names the file already.
   *
   * @param named the file or directory of the sentence; another one is named here
   */
  public static String of(IOException problem, Path named) {
    String file = problem instanceof FileSystemException of ? of.getFile() : null;
    String words = words(problem);
    return file == null || file.equals(named.toString()) ? words : "'" + file + "': " + words;
  }

  /**
   * Why a file could not be written, in brackets, with what to do where it may be the disk.
   *
   * @param named the file or directory of the sentence; another one is named here
   */
  public static String unwritten(IOException problem, Path named) {
    boolean ofThePath =
        problem instanceof FileSystemException of
            && (of.getReason() == null || of.getReason().isBlank());
    return "(" + of(problem, named) + ")" + (ofThePath ? "" : ": see that the disk has room");
  }

  /** The problem without the file. */
  public static String words(IOException problem) {
    if (problem instanceof CharacterCodingException) {
      return "it is not text in UTF-8";
    }
    if (!(problem instanceof FileSystemException of)) {
      String message = problem.getMessage();
      return message == null || message.isBlank() ? problem.getClass().getSimpleName() : message;
    }
    String reason = of.getReason();
    if (reason != null && !reason.isBlank()) {
      return reason;
    }
    if (of instanceof NoSuchFileException) {
      return "there is no such file or directory";
    }
    if (of instanceof AccessDeniedException) {
      return "permission denied";
    }
    if (of instanceof OwnFile.LinkException) {
      return "it is a link, which is not followed here";
    }
    if (of instanceof FileAlreadyExistsException) {
      return "it is there already";
    }
    if (of instanceof NotDirectoryException) {
      return "it is no directory";
    }
    if (of instanceof DirectoryNotEmptyException) {
      return "the directory is not empty";
    }
    return of instanceof FileSystemLoopException
        ? "links lead in a circle"
        : of.getClass().getSimpleName();
  }
}
