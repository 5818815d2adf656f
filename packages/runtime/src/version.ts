/** Version of this package, of ir and of the backends here: programs that another version compiled are not used. */
export const libraryVersion = "0.1.0";
