import java.io.IOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.attribute.PosixFilePermissions;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.fs.DelegateToFileSystem;
import org.apache.hadoop.fs.FileStatus;
import org.apache.hadoop.fs.LocalFileSystem;
import org.apache.hadoop.fs.Path;
import org.apache.hadoop.fs.RawLocalFileSystem;
import org.apache.hadoop.fs.permission.FsPermission;

/**
 * This machine's files without a process for each of them.
 *
 * <p>Hadoop without its native library runs chmod for each file that it makes and readlink for each that it renames,
 * twenty processes for one commit of Delta, where the JVM can do both itself; and it keeps a checksum beside each file.
 */
public class QuietFileSystem extends LocalFileSystem {
  public QuietFileSystem() {
    super(new Raw());
    setWriteChecksum(false);
    setVerifyChecksum(false);
  }

  private static class Raw extends RawLocalFileSystem {
    @Override
    public void setPermission(Path path, FsPermission permission) throws IOException {
      String text = permission.toString().replace('t', 'x').replace('T', '-');
      Files.setPosixFilePermissions(pathToFile(path).toPath(), PosixFilePermissions.fromString(text));
    }

    @Override
    public FileStatus getFileLinkStatus(Path path) throws IOException {
      boolean link = Files.isSymbolicLink(pathToFile(path).toPath());
      return link ? super.getFileLinkStatus(path) : getFileStatus(path);
    }
  }

  /** The same for those who ask Hadoop's other interface, as Delta's log does. */
  public static class Context extends DelegateToFileSystem {
    public Context(URI uri, Configuration configuration) throws Exception {
      super(uri, new Raw(), configuration, "file", false);
    }
  }
}
