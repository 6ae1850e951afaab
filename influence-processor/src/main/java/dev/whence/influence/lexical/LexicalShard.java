package dev.whence.influence.lexical;

import com.fasterxml.jackson.databind.JsonNode;
import dev.whence.conversation.BoundedJson;
import dev.whence.conversation.Conversation;
import dev.whence.conversation.ConversationCodec;
import dev.whence.conversation.PartKind;
import dev.whence.files.FileProblem;
import dev.whence.influence.InfluenceException;
import dev.whence.influence.corpus.CorpusFile;
import dev.whence.influence.corpus.SeenCorpus;
import dev.whence.influence.index.IndexedDocument;
import dev.whence.influence.index.ShardFile;
import java.io.IOException;
import java.nio.file.FileSystems;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.stream.Collectors;
import java.util.stream.IntStream;
import org.apache.lucene.analysis.Analyzer;
import org.apache.lucene.analysis.TokenStream;
import org.apache.lucene.analysis.standard.StandardAnalyzer;
import org.apache.lucene.analysis.tokenattributes.CharTermAttribute;
import org.apache.lucene.document.Document;
import org.apache.lucene.document.Field;
import org.apache.lucene.document.StoredField;
import org.apache.lucene.document.TextField;
import org.apache.lucene.index.DirectoryReader;
import org.apache.lucene.index.IndexWriter;
import org.apache.lucene.index.IndexWriterConfig;
import org.apache.lucene.index.LeafReaderContext;
import org.apache.lucene.index.Term;
import org.apache.lucene.search.BooleanClause;
import org.apache.lucene.search.BooleanQuery;
import org.apache.lucene.search.IndexSearcher;
import org.apache.lucene.search.ScoreDoc;
import org.apache.lucene.search.TermQuery;
import org.apache.lucene.search.similarities.BM25Similarity;
import org.apache.lucene.store.Directory;
import org.apache.lucene.store.FSDirectory;
import org.apache.lucene.store.NIOFSDirectory;

/**
 * The words of a shard's documents, for preselection by Okapi BM25 (Robertson and Walker 1994; k1 =
 * 1.2, b = .75) with Lucene: documents that share words with question and response are candidates
 * for exact gradients, too, whatever their sketches say. Grosse et al. (2308.03296, section 3.2)
 * preselect by TF-IDF for the same reason: gradients of a whole corpus are dear.
 *
 * <p>It lies beside the shard, in a directory that ends with {@code .lexical}, holds words and no
 * text, and names the shard's checksum: that of another shard is refused.
 */
public final class LexicalShard implements AutoCloseable {
  private static final String TEXT = "text";
  private static final String NUMBER = "number";
  private static final String CHECKSUM = "shard";
  private static final int AT_ONCE = 1000;

  /** A query of more words is cut: the first ones stay, those of the response before the rest. */
  private static final int MOST_WORDS = 1024;

  private final String checksum;
  private final Directory directory;
  private final DirectoryReader reader;
  private final IndexSearcher searcher;

  private LexicalShard(String checksum, Directory directory, DirectoryReader reader) {
    this.checksum = checksum;
    this.directory = directory;
    this.reader = reader;
    this.searcher = new IndexSearcher(reader);
    searcher.setSimilarity(new BM25Similarity());
  }

  /** Where that of a shard lies. */
  public static Path path(ShardFile shard) {
    return shard.path().resolveSibling(shard.path().getFileName() + ".lexical");
  }

  /** Builds that of a shard unless it is there and whole. */
  public static void buildIfMissing(ShardFile shard, CorpusFile corpus) {
    if (isBeside(shard)) {
      try (LexicalShard there = open(shard)) {
        if (there.documents() == shard.size()) {
          return;
        }
      } catch (InfluenceException e) {
        // of an earlier shard, or a build that was cut off: built anew below
      }
    }
    build(shard, corpus);
  }

  private int documents() {
    return reader.numDocs();
  }

  /**
   * Builds that of a shard, in place of one that is there. Cost: one reading of the corpus.
   *
   * @param corpus that the shard is of
   * @throws InfluenceException if the corpus is not what was indexed or is changed meanwhile, or
   *     the disk is full; one that is there stays
   */
  public static void build(ShardFile shard, CorpusFile corpus) {
    build(shard, corpus, () -> {});
  }

  /**
   * As {@link #build(ShardFile, CorpusFile)}.
   *
   * @param read is called when the corpus was read
   */
  static void build(ShardFile shard, CorpusFile corpus, Runnable read) {
    String digest = shard.settings().corpusDigest();
    SeenCorpus seen = new SeenCorpus(corpus);
    if (!seen.digest().equals(digest)) {
      throw new InfluenceException(
          corpus.path()
              + " is not the corpus that "
              + shard.path().getFileName()
              + " is of: its SHA-256 is another. Give the corpus that was indexed.");
    }
    try (Directory directory = FSDirectory.open(path(shard));
        IndexWriter writer =
            new IndexWriter(
                directory,
                new IndexWriterConfig(new StandardAnalyzer())
                    .setOpenMode(IndexWriterConfig.OpenMode.CREATE)
                    .setCommitOnClose(false)
                    .setSimilarity(new BM25Similarity()))) {
      Map<Long, Integer> numbers = numbers(shard);
      corpus.lines(
          (line, text) -> {
            Integer number = numbers.get(line);
            if (number != null) {
              Document document = new Document();
              document.add(new TextField(TEXT, words(text), Field.Store.NO));
              document.add(new StoredField(NUMBER, number));
              writer.addDocument(document);
            }
            return true;
          });
      read.run();
      seen.checkUnchanged(digest);
      writer.setLiveCommitData(Map.of(CHECKSUM, shard.checksum()).entrySet());
      writer.commit();
    } catch (IOException e) {
      throw new InfluenceException(
          path(shard) + " could not be written " + FileProblem.unwritten(e, path(shard)) + ".", e);
    }
  }

  /** Numbers of a shard's documents by their line in the corpus. */
  private static Map<Long, Integer> numbers(ShardFile shard) {
    Map<Long, Integer> numbers = new HashMap<>();
    for (int from = 0; from < shard.size(); from += AT_ONCE) {
      List<Integer> some =
          IntStream.range(from, Math.min(shard.size(), from + AT_ONCE)).boxed().toList();
      List<IndexedDocument> entries = shard.entries(some);
      for (int i = 0; i < some.size(); i++) {
        numbers.put(entries.get(i).reference().line(), some.get(i));
      }
    }
    return numbers;
  }

  private static String words(String line) throws IOException {
    JsonNode json = BoundedJson.mapper().build().readTree(line);
    if (!CorpusFile.isConversation(json)) {
      return json.path("text").asText();
    }
    Conversation conversation = ConversationCodec.read(line);
    return conversation.parts().map(part -> part.text()).collect(Collectors.joining(" "))
        + " "
        + conversation.response();
  }

  /** Whether a shard has one. */
  public static boolean isBeside(ShardFile shard) {
    return Files.isDirectory(path(shard));
  }

  /**
   * Opens that of a shard and checks all of it.
   *
   * @throws InfluenceException if there is none, it is damaged, or of another shard
   */
  public static LexicalShard open(ShardFile shard) {
    if (!isBeside(shard)) {
      throw new InfluenceException(
          path(shard)
              + " is missing: there are no words to preselect by; run 'whence influence index"
              + " --lexical' again.");
    }
    Directory directory = null;
    DirectoryReader reader = null;
    boolean complete = false;
    try {
      directory = directory(path(shard));
      reader = DirectoryReader.open(directory);
      if (!shard.checksum().equals(reader.getIndexCommit().getUserData().get(CHECKSUM))) {
        throw new InfluenceException(
            path(shard)
                + " is of another shard than "
                + shard.path().getFileName()
                + ": run 'whence influence index --lexical' again.");
      }
      checkContents(reader);
      complete = true;
      return new LexicalShard(shard.checksum(), directory, reader);
    } catch (IOException | IllegalArgumentException e) {
      throw new InfluenceException(
          path(shard)
              + " is cut short or altered ("
              + e.getMessage()
              + "): remove it, and run 'whence influence index --lexical' again.",
          e);
    } finally {
      if (!complete && reader != null) {
        closed(reader);
      }
      if (!complete && directory != null) {
        closed(directory);
      }
    }
  }

  /** To be read. Lucene maps files into memory where it can, but those of a bucket can not be. */
  private static Directory directory(Path path) throws IOException {
    return path.getFileSystem().equals(FileSystems.getDefault())
        ? FSDirectory.open(path)
        : new NIOFSDirectory(path);
  }

  /** Opening reads headers only; a bit that has changed in postings would give other documents. */
  private static void checkContents(DirectoryReader reader) throws IOException {
    for (LeafReaderContext leaf : reader.leaves()) {
      leaf.reader().checkIntegrity();
    }
  }

  /** Whether it is of this very shard. */
  boolean isOf(ShardFile shard) {
    return checksum.equals(shard.checksum());
  }

  /** Whether what lies there is still what was opened. */
  boolean isCurrent() {
    try {
      return reader.isCurrent();
    } catch (IOException e) {
      return false; // opening it again says what is the matter
    }
  }

  /** Numbers of the best documents in the shard with their scores, above 0, best first. */
  public Map<Integer, Double> best(Conversation asked, int most) {
    BooleanQuery.Builder query = new BooleanQuery.Builder();
    for (String word : words(asked)) {
      query.add(new TermQuery(new Term(TEXT, word)), BooleanClause.Occur.SHOULD);
    }
    Map<Integer, Double> best = new LinkedHashMap<>();
    try {
      for (ScoreDoc found : searcher.search(query.build(), most).scoreDocs) {
        Number number = searcher.storedFields().document(found.doc).getField(NUMBER).numericValue();
        best.put(number.intValue(), (double) found.score);
      }
    } catch (IOException e) {
      throw new InfluenceException(
          directory + " could not be read (" + FileProblem.words(e) + ").", e);
    }
    return best;
  }

  /**
   * Words of the response and of the question, each once. What stands in retrieved texts is not
   * asked for: the response may have it from there.
   */
  static List<String> words(Conversation asked) {
    String question =
        asked
            .parts()
            .filter(part -> part.kind() == PartKind.QUESTION)
            .map(part -> part.text())
            .collect(Collectors.joining(" "));
    Set<String> words = new LinkedHashSet<>();
    try (Analyzer analyzer = new StandardAnalyzer()) {
      for (String text : List.of(asked.response(), question)) {
        try (TokenStream tokens = analyzer.tokenStream(TEXT, text)) {
          CharTermAttribute term = tokens.addAttribute(CharTermAttribute.class);
          tokens.reset();
          while (tokens.incrementToken() && words.size() < MOST_WORDS) {
            words.add(term.toString());
          }
          if (words.size() < MOST_WORDS) {
            tokens.end();
          }
        }
      }
    } catch (IOException e) {
      throw new IllegalStateException("a text in memory can always be read", e);
    }
    return List.copyOf(words);
  }

  private static void closed(AutoCloseable one) {
    try {
      one.close();
    } catch (Exception e) {
      throw new InfluenceException("Lucene's files could not be closed: " + e.getMessage(), e);
    }
  }

  @Override
  public void close() {
    closed(reader);
    closed(directory);
  }
}
